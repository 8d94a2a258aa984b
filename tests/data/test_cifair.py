"""ciFAIR's list of near duplicates: as published, or refused."""

from pathlib import Path

import numpy as np
import pytest

from bench.data import cifair, store
from bench.data.fetch import fetch
from bench.data.images import overlap
from bench.errors import DataError


def test_list_has_the_published_number_of_near_duplicates(near_duplicates_root: Path) -> None:
    flags = cifair.near_duplicates(near_duplicates_root)
    assert flags is not None and flags.shape == (10_000,) and flags.sum() == 891


def test_byte_identical_images_are_near_duplicates(near_duplicates_root: Path, real_data: Path) -> None:
    flags = cifair.near_duplicates(near_duplicates_root)
    train = store.load("cifar100", "train+validation", real_data)
    test = store.load("cifar100", "test", real_data)
    repeated = overlap(train.images, test.images)
    assert flags is not None and repeated.sum() == 10 and np.all(flags[repeated])


def test_absent_list_is_none_and_an_altered_one_is_an_error(tmp_path: Path) -> None:
    assert cifair.near_duplicates(tmp_path) is None and not cifair.present(tmp_path)
    (tmp_path / cifair.FILE).parent.mkdir()
    (tmp_path / cifair.FILE).write_text("TestID\n1\n")
    with pytest.raises(DataError, match="bench data fetch cifair"):
        cifair.near_duplicates(tmp_path)


def test_failed_download_says_where_to_put_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifair, "ADDRESS", "http://127.0.0.1:9/file")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(DataError, match=r"put it at .*duplicates_cifar100\.csv"):
        fetch("cifair", tmp_path)
