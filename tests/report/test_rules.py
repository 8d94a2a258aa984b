"""The rules of a track in words: every limit and profile of its file, and the contest's own rules."""

from pathlib import Path

import pytest
import yaml

from bench.contract.contest import Contest, ContestFile
from bench.contract.tracks import Advice, Caps, Track, load_tracks
from bench.data.store import describe
from bench.report.rules import CAPS, rules_text
from bench.report.site.pages import CAP_NAMES
from tests.making import bench

FULL = {
    "name": "cells",
    "title": "Cells",
    "task": "classification",
    "data": {
        "name": "mine", "format": "npz", "path": "a.npz", "test_path": "b.npz", "channels": 1, "size": 64,
        "classes": ["well", "ill"], "train_images": 5000,
    },
    "caps": {"params": 50_000, "macs_per_image": 20_000_000},
    "rank_by": "nll",
    "metrics": ["macro_f1"],
    "advice": {"training_minutes": 30, "memory_gib": 4},
    "profiles": {
        "official": {"steps": 3000, "seeds": 4, "train": "train+validation", "evaluate": "test"},
        "quick": {"steps": 300, "seeds": 2, "evaluation_images": 1000},
    },
}  # fmt: skip


def test_every_limit_profile_and_word_of_the_file_is_there() -> None:
    track = Track.model_validate(FULL)
    contest = Contest(Path(), ContestFile(title="x", tracks=["y"], rules="Hand in by 1 July."))
    text = rules_text(track, describe(track.data), contest)
    for line in (
        "# Rules: Cells",
        "write `track: cells`",
        "mine, 2 classes, grey images of 64×64 pixels",
        "5,000 of them, the same fraction of every class",
        "the organiser has them",
        "mean NLL of the last weights over 4 seeds, on the test images; lower is better",
        "**Shown beside it:** macro F1",
        "| 50,000     | distinct trainable parameters",
        "| 20,000,000 | multiply-accumulates per image",
        "| 3,000      | training steps",
        "at most 30 minutes of training and 4 GiB of memory",
        "| official  | 3,000   | 4       | train+validation | test ",
        "| quick     | 300     | 2       | train            | 1,000 images of validation |",
        "## Further rules\n\nHand in by 1 July.",
    ):
        assert line.lower() in text.lower(), f"{line}\n{text}"
    assert "Further rules" not in rules_text(track, describe(track.data), None)


def test_every_cap_and_advice_has_words() -> None:
    assert set(CAPS) == set(CAP_NAMES) == set(Caps.model_fields)
    everything = FULL | {"caps": dict.fromkeys(Caps.model_fields, 123_456)}
    track = Track.model_validate(everything)
    assert rules_text(track, describe(track.data), None).count("| 123,456") == len(Caps.model_fields)
    assert set(Advice.model_fields) == {"training_minutes", "memory_gib"}


@pytest.mark.parametrize("name", sorted(load_tracks()))
def test_rules_of_shipped_tracks(name: str) -> None:
    result = bench("rules", "--track", name)
    assert result.returncode == 0 and result.stdout.startswith("# Rules: ")
    assert f"write `track: {name}`" in result.stdout


def test_command_in_a_contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.yaml").write_text(yaml.safe_dump(FULL))
    (tmp_path / "capbench.yaml").write_text("title: x\ntracks: [cells.yaml]\nrules: Be fair.\n")
    text = bench("rules").stdout
    assert text.endswith("## Further rules\n\nBe fair.\n")
    (tmp_path / "RULES.md").write_text(text)
    assert bench("rules", "--check", "RULES.md").returncode == 0
    (tmp_path / "RULES.md").write_text(text + "more")
    result = bench("rules", "--check", "RULES.md")
    assert result.returncode == 1 and "run `bench rules > RULES.md`" in result.stderr


def test_several_tracks_need_a_choice() -> None:
    result = bench("rules")
    assert result.returncode == 2 and "give --track: addnist-classification, " in result.stderr
