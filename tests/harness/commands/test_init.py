"""``bench init``: a contest from one command, which verifies, runs and ranks."""

from pathlib import Path

import numpy as np
import pytest

from bench.contract.contest import find_contest
from bench.contract.tracks import Track, load_tracks
from tests.data.test_own_files import arrays, write_npz
from tests.making import bench


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def track_of(name: str) -> Track:
    return load_tracks()[name]


def test_contest_on_own_data_runs_and_ranks(folder: Path) -> None:
    """With the test split in a file of its own, without which only official runs are refused."""
    content = arrays(3)
    write_npz(folder, {name: array for name, array in content.items() if name.startswith("train")})
    np.savez(folder / "hidden.npz", **{name: array for name, array in content.items() if name.startswith("test")})  # type: ignore[arg-type]
    result = bench(
        "init", "--name", "ours", "--title", "Our contest", "--data", "data.npz", "--test-data", "hidden.npz",
        "--params", "9000", "--steps", "6", "--seeds", "2",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    track = track_of("ours")
    assert (track.caps.params, track.profiles["official"].steps, track.profiles["official"].seeds) == (9000, 6, 2)
    assert "\n/hidden.npz\n" in (folder / ".gitignore").read_text()
    assert bench("data", "verify").returncode == 0
    assert bench("new", "net").returncode == 0
    assert bench("verify").returncode == 0
    (folder / "hidden.npz").rename(folder / "away.npz")
    assert bench("run", "--profile", "quick", "--device", "cpu", "--sandbox", "none").returncode == 0
    refused = bench("run", "--device", "cpu", "--sandbox", "none")
    assert refused.returncode != 0 and "no test split here" in refused.stderr + refused.stdout
    (folder / "away.npz").rename(folder / "hidden.npz")
    assert bench("run", "--device", "cpu", "--sandbox", "none").returncode == 0
    assert bench("leaderboard", "--no-site").returncode == 0
    board = (folder / "results" / "LEADERBOARD.md").read_text()
    assert board.startswith("# Our contest") and "| 1 " in board and "net" in board


def test_known_data_is_named_and_generators_get_samples(folder: Path) -> None:
    result = bench("init", "sub", "--data", "fashion-mnist", "--task", "generation", "--samples", "500")
    assert result.returncode == 0, result.stderr
    text = (folder / "sub" / "contest.yaml").read_text()
    assert "data: fashion-mnist\n" in text and "official: {" in text and "samples: 500" in text
    assert find_contest() is None  # the current folder is outside


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "none.npz"), "none.npz: cannot be read (No such file or directory)"),
        (("--data", "../outside.npz"), "is outside of the contest's folder"),
        (("--data", "inside.npz", "--test-data", "none.npz"), "none.npz: cannot be read"),
        (("--data", "imagenet"), "data set 'imagenet' is unknown"),
        (("--name", "Ü"), "--name 'Ü'"),
        (("--task", "both"), "--task 'both': give classification or generation"),
        (("--data", "cifar100", "--test-data", "x.npz"), "--test-data: only with own data"),
    ],
)
def test_faulty_options_write_nothing(
    arguments: tuple[str, ...], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "contest").mkdir()
    train = {name: array for name, array in arrays().items() if name.startswith("train")}
    for path in (folder / "outside.npz", folder / "contest" / "inside.npz"):
        np.savez(path, **train)  # type: ignore[arg-type]
    monkeypatch.chdir(folder / "contest")
    result = bench("init", *arguments)
    assert result.returncode == 2 and message in result.stderr, result.stderr
    assert [path.name for path in (folder / "contest").iterdir()] == ["inside.npz"]


def test_existing_contest_is_not_overwritten(folder: Path) -> None:
    assert bench("init").returncode == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = bench("init", "--name", "other")
    assert result.returncode == 2 and "capbench.yaml: exists already" in result.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_further_rules_are_options(folder: Path) -> None:
    result = bench("init", "--data", "fashion-mnist", "--macs", "20000000", "--rank-by", "macro_f1")
    assert result.returncode == 0, result.stderr
    track = track_of("contest")
    assert (track.caps.params, track.caps.macs_per_image, track.rank_by) == (None, 20_000_000, "macro_f1")


def test_unknown_metric_leaves_no_files(folder: Path) -> None:
    result = bench("init", "--data", "fashion-mnist", "--rank-by", "f1")
    assert (
        result.returncode == 2
        and "`rank_by`: found 'f1'; metrics of classification: top1_accuracy," in result.stderr
    )
    assert "profiles" not in result.stderr and list(folder.rglob("*.yaml")) == []
