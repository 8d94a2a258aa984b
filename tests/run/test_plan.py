"""Seeds, and which data set is used where the real one is absent."""

from pathlib import Path

import pytest

from bench.contract.tracks import load_tracks
from bench.errors import DataError, UsageError
from bench.run.datasets import choose_data
from bench.run.devices import choose_device, choose_jobs, usable_cores
from bench.run.plan import parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (None, [0, 1, 2]),
        ("5", [0, 1, 2, 3, 4]),
        ("0,3,7", [0, 3, 7]),
        ("4,", [4]),
        ("2-4", [2, 3, 4]),
        ("0-1,9", [0, 1, 9]),
    ],
)
def test_seeds(text: str | None, seeds: list[int]) -> None:
    assert parse_seeds(text, 3) == seeds


@pytest.mark.parametrize("text", ["", "0", "a", "1,1", "3-", "-3", "4-2", "1.5", "99999"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text, 3)


def test_only_smoke_falls_back_to_drawn_images(tmp_path: Path) -> None:
    track = load_tracks()["addnist-classification"]
    assert choose_data(track, "smoke", tmp_path, embedded=False) == "shapes20x28"
    with pytest.raises(DataError, match="data set addnist is not in"):
        choose_data(track, "official", tmp_path, embedded=False)
    assert choose_data(track, "official", tmp_path, embedded=True) == "shapes20x28"
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (folder / f"{split}-{kind}-ubyte").touch()
    assert choose_data(track, "official", tmp_path, embedded=False) == "addnist-style"
    (tmp_path / "addnist").mkdir()
    for split in ("train", "valid", "test"):
        for kind in "xy":
            (tmp_path / "addnist" / f"{split}_{kind}.npy").touch()
    assert choose_data(track, "smoke", tmp_path, embedded=False) == "addnist"


def test_devices_and_jobs() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="--device 'tpu'"):
        choose_device("tpu")
    cores = usable_cores()
    assert choose_jobs(None, "cpu", 100) == (cores, 1)  # a thread each
    assert choose_jobs(None, "cpu", 1) == (1, cores)
    assert choose_jobs(None, "cuda", 100) == (1, 1)
