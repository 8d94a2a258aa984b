"""ciFAIR's list: as published, or refused."""

from pathlib import Path

import numpy as np
import pytest

from bench.data import cifair, store
from bench.data.fetch import fetch
from bench.data.images import overlap
from bench.errors import DataError


def test_the_list_has_the_published_number(near_duplicates_root: Path) -> None:
    found = cifair.near_duplicates(near_duplicates_root)
    assert found is not None and found.shape == (10_000,) and found.sum() == 891


def test_the_byte_equal_ones_are_among_them(near_duplicates_root: Path, real_data: Path) -> None:
    found = cifair.near_duplicates(near_duplicates_root)
    train = store.load("cifar100", "train+validation", real_data)
    test = store.load("cifar100", "test", real_data)
    repeated = overlap(train.images, test.images)
    assert found is not None and repeated.sum() == 10 and np.all(found[repeated])


def test_absent_or_altered(tmp_path: Path) -> None:
    assert cifair.near_duplicates(tmp_path) is None and not cifair.present(tmp_path)
    (tmp_path / cifair.FILE).parent.mkdir()
    (tmp_path / cifair.FILE).write_text("TestID\n1\n")
    with pytest.raises(DataError, match="bench data fetch cifair"):
        cifair.near_duplicates(tmp_path)


def test_what_to_do_where_it_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifair, "ADDRESS", "http://127.0.0.1:9/file")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(DataError, match=r"put it at .*duplicates_cifar100\.csv"):
        fetch("cifair", tmp_path)
