"""Splits, the data root, the cache, and messages about absent data."""

from pathlib import Path

import numpy as np
import pytest

from bench.data import cifar100, store, verify
from bench.data.known import KNOWN
from bench.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_root_is_the_option_then_the_variable_then_the_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("BENCH_DATA", "/from/variable")
    assert store.data_root(Path("/from/option")) == Path("/from/option")
    assert store.data_root(None) == Path("/from/variable")
    monkeypatch.delenv("BENCH_DATA")
    assert store.data_root(None) == cache


def test_splits_of_a_drawn_set_are_disjoint_and_complete(cache: Path, tmp_path: Path) -> None:
    splits = {
        part: store.load("shapes4x16", part, tmp_path) for part in ("train", "validation", "train+validation")
    }
    assert [len(data.labels) for data in splits.values()] == [720, 80, 800]
    assert (np.bincount(splits["validation"].labels) == 20).all()
    union = {image.tobytes() for image in splits["train+validation"].images}
    separate = [image.tobytes() for part in ("train", "validation") for image in splits[part].images]
    assert len(separate) == len(set(separate)) and set(separate) == union
    test = store.load("shapes4x16", "test", tmp_path)
    assert len(test.labels) == 160 and not union & {image.tobytes() for image in test.images}


def test_damaged_cache_is_drawn_again(cache: Path, tmp_path: Path) -> None:
    first = store.load("shapes4x16", "test", tmp_path)
    (cached,) = cache.iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    assert np.array_equal(store.load("shapes4x16", "test", tmp_path).images, first.images)


def test_absent_data_says_how_to_get_it(tmp_path: Path) -> None:
    for name in KNOWN:
        reason = store.available(name, tmp_path)
        assert reason is not None and str(tmp_path) in reason and "bench data" in reason
    assert store.available("shapes100", tmp_path) is None
    with pytest.raises(DataError, match="known are cifar100"):
        store.available("imagenet", tmp_path)


def test_training_never_opens_the_test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def read(root: Path, split: str) -> None:
        opened.append(split)
        raise DataError("stop here")

    monkeypatch.setattr(cifar100, "read", read)
    for part in ("train", "validation", "train+validation", "test"):
        with pytest.raises(DataError):
            store.load("cifar100", part, tmp_path)  # type: ignore[arg-type]
    assert opened == ["train", "train", "train", "test"]


@pytest.mark.real_data
def test_verification_of_cifar100_reports_its_duplicates(real_data: Path) -> None:
    findings = {finding.text for finding in verify.verify_dataset("cifar100", real_data)}
    assert any("50,000 images, 49,986 distinct, 100 classes" in text for text in findings)
    assert any("10,000 images, 9,998 distinct, 100 classes" in text for text in findings)
    assert "10 test images occur byte for byte in train" in findings


def test_damaged_data_set_fails_verification(tmp_path: Path) -> None:
    (tmp_path / cifar100.FOLDER).mkdir()
    for part in ("train", "test"):
        (tmp_path / cifar100.FOLDER / part).write_bytes(b"short")
    (finding,) = verify.verify_dataset("cifar100", tmp_path)
    assert not finding.ok and "5 bytes with md5" in finding.text


def test_files_of_lists_the_files_of_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python").mkdir()
    for name in ("train", "test", "meta"):
        (tmp_path / "cifar-100-python" / name).touch()
    assert [path.name for path in store.files_of("cifar100", tmp_path)] == ["meta", "test", "train"]
    assert store.files_of("shapes100", tmp_path) == []
