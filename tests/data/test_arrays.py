"""Arrays handed over as files: the array read is the array written, or reading is an error."""

from pathlib import Path

import numpy as np
import pytest

from bench.data.arrays import read_array, read_labelled, write_array
from bench.errors import DataError


def test_arrays_round_trip(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), np.uint8)[:, ::-1]  # not contiguous
    labels = np.arange(5)
    files = [write_array(array, tmp_path, name) for array, name in ((images, "images"), (labels, "labels"))]
    data = read_labelled(*files)
    assert np.array_equal(data.images, images) and np.array_equal(data.labels, labels)
    assert all(file.path.is_absolute() for file in files)


def test_equal_array_is_kept_and_a_different_one_replaces_it(tmp_path: Path) -> None:
    first = write_array(np.arange(3), tmp_path, "a")
    stamp = first.path.stat().st_mtime_ns
    assert write_array(np.arange(3), tmp_path, "a") == first and first.path.stat().st_mtime_ns == stamp
    assert write_array(np.arange(4), tmp_path, "a") != first
    first.path.write_bytes(b"damaged")
    assert np.array_equal(read_array(write_array(np.arange(3), tmp_path, "a")), np.arange(3))


def test_altered_or_deleted_array_is_an_error(tmp_path: Path) -> None:
    file = write_array(np.arange(3), tmp_path, "a")
    np.save(file.path, np.arange(3)[::-1])
    with pytest.raises(DataError, match="was altered while runs used it"):
        read_array(file)
    file.path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_array(file)
