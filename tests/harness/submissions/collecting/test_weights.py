"""`bench collect --weights`: handed-in weights are kept apart from the submissions; records are left out."""

from pathlib import Path

import pytest

from bench.harness.submissions.collecting import weights
from tests.harness.submissions.collecting.making_sources import (
    collect,
    collected,
    commit,
    files,
    write_files,
    write_tar,
    write_zip,
)

SUBMISSION = {"submission.yaml", "model.py", "collected.yaml"}
RECORD = "seed0-0123abcd.json"


def with_weights(number: int = 0, text: str = "w", name: str = "weights.pt") -> dict[str, str]:
    return {**files(number), name: text}


def kept(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}


def test_weights_of_every_kind_of_source_go_to_their_own_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(tmp_path / "a", with_weights(0, "A", "weights.safetensors"))
    sources = [
        f"file://{tmp_path / 'a'}",
        write_zip(tmp_path / "b.zip", with_weights(1, "B")),
        write_tar(tmp_path / "c.tar.gz", with_weights(2, "C", "weights.pth")),
        write_files(tmp_path / "d", {**with_weights(3, "D"), "weights.safetensors": "E", "other.pt": "x"}),
        write_files(tmp_path / "e", files(4)),
    ]
    assert collect(tmp_path / "in", *sources, weights=tmp_path / "weights") == 0
    assert kept(tmp_path / "weights") == {
        "a.safetensors": "A", "b.pt": "B", "c.pth": "C", "d.safetensors": "E"
    }  # fmt: skip
    assert collected(tmp_path / "in") == dict.fromkeys("abcde", SUBMISSION)
    out = capsys.readouterr().out
    assert out.count("no weights: none of weights.safetensors, weights.pt, weights.pth") == 1
    assert (
        "left out: other.pt (1 bytes), weights.pt (1 bytes)" in out and "left out: weights.safetensors" not in out
    )
    assert collect(tmp_path / "in", *sources, weights=tmp_path / "weights") == 0
    assert capsys.readouterr().out.count(", unchanged\n") == 4


def test_weights_are_left_out_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = write_zip(tmp_path / "net.zip", with_weights())
    assert collect(tmp_path / "in", archive) == 0
    assert collected(tmp_path / "in") == {"net": SUBMISSION}
    assert "left out: weights.pt (1 bytes)" in capsys.readouterr().out
    assert collect(tmp_path / "in", archive, weights=tmp_path / "weights", dry_run=True) == 0
    assert not (tmp_path / "weights").exists()


def test_other_weights_are_replaced_only_on_request_and_by_the_same_team(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, source = tmp_path / "weights", write_files(tmp_path / "net", with_weights())
    assert collect(tmp_path / "in", source, weights=folder) == 0
    (source / "weights.pt").unlink()
    write_files(source, {"weights.safetensors": "later"})
    assert collect(tmp_path / "in", source, weights=folder) == 2
    assert "✗ weights: " in (out := capsys.readouterr().out) and "--replace replaces those" in out
    assert "1 unchanged, 1 weights refused" in out and kept(folder) == {"net.pt": "w"}
    assert collect(tmp_path / "in", source, weights=folder, replace=True) == 0
    assert kept(folder) == {"net.safetensors": "later"}
    # The same code from elsewhere counts as unchanged; it must not bring other weights.
    other = write_zip(tmp_path / "net.zip", with_weights(0, "foreign"))
    assert collect(tmp_path / "in", other, weights=folder, replace=True) == 2
    assert kept(folder) == {"net.safetensors": "later"}


def test_link_and_large_file_are_refused_but_not_their_submission(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MAX_WEIGHTS_BYTES", 3)
    linked = write_files(tmp_path / "linked", files(1))
    (linked / "weights.pt").symlink_to("/etc/passwd")
    large = write_files(tmp_path / "large", with_weights(2, "four"))
    assert collect(tmp_path / "in", linked, large, weights=tmp_path / "weights") == 2
    out = capsys.readouterr().out
    assert "weights.pt is a symbolic link" in out and "weights.pt: 4 bytes, at most 3" in out
    assert set(collected(tmp_path / "in")) == {"linked", "large"} and not (tmp_path / "weights").exists()


def test_records_that_a_participant_hands_in_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = {
        RECORD: "{}",
        "seed12-0123abcd.attempt1.json": "{}",
        f"results/runs/tiny/net/base/{RECORD}": "{}",
        "settings.json": "{}",
    }
    source = write_files(tmp_path / "net", {**files(), **records})
    outside = write_zip(tmp_path / "two.zip", {**files(1, "two"), f"results/runs/tiny/two/base/{RECORD}": "{}"})
    assert collect(tmp_path / "in", source, outside) == 0
    assert collected(tmp_path / "in") == {"net": SUBMISSION | {"settings.json"}, "two": SUBMISSION}
    out = capsys.readouterr().out
    assert f"left out: results/runs/tiny/net/base/{RECORD}" in out
    assert f"outside of the submissions, left out: results/runs/tiny/two/base/{RECORD}" in out
