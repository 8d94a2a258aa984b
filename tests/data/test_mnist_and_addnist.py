"""IDX files against torchvision's reader; AddNIST against its published rules and a published sample."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import MNIST

from bench.data import addnist, mnist
from bench.errors import DataError


def idx(values: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.mark.real_data
def test_mnist_equals_torchvision(real_data: Path) -> None:
    images, digits = mnist.read(real_data, "t10k")
    theirs = MNIST(real_data, train=False)
    assert np.array_equal(images, theirs.data.numpy()) and digits.tolist() == theirs.targets.tolist()


def test_gzipped_idx_file_is_read_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / mnist.FOLDER
    folder.mkdir(parents=True)
    images, digits = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8), np.array([3, 4], np.uint8)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(digits))
    with pytest.raises(DataError, match=r"has md5 .*, the official file has 6bbc9ace898e44ae57da46a324031adb"):
        mnist.read(tmp_path, "train")
    for name, values in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", digits)):
        monkeypatch.setitem(mnist.FILES, name, ("", hashlib.md5(idx(values)).hexdigest()))
    content = mnist.read(tmp_path, "train")
    assert np.array_equal(content[0], images) and np.array_equal(content[1], digits)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images))[:-20])
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz"):
        mnist.read(tmp_path, "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "two zero bytes"),
        (b"<!doctype html>", "two zero bytes"),
        (b"\0\0\x0d\x01" + b"\0" * 8, "type 0x0d"),
        (b"\0\0\x08\x09" + b"\0" * 8, "rank 9"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"sizes \(2, 3\) need 18"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "sizes"),
    ],
)
def test_invalid_idx_content_is_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mnist.parse_idx(content)


def test_numbers_of_digit_triples_equal_the_published_ones() -> None:
    counts = [len(addnist.triples_of(label)) for label in range(20)]
    assert counts == [3, 6, 10, 15, 21, 28, 36, 45, 55, 63, 69, 73, 75, 75, 73, 69, 63, 55, 45, 36]
    assert sum(counts) == 915


def digits_of_channels(images: np.ndarray, root: Path) -> np.ndarray:
    """Return (N, 3): the digit of each channel of (N, 3, 28, 28), found by its bytes in MNIST."""
    known = {}
    for split in ("train", "t10k"):
        pixels, digits = mnist.read(root, split)
        known |= {image.tobytes(): int(digit) for image, digit in zip(pixels, digits, strict=True)}
    return np.array([[known[channel.tobytes()] for channel in image] for image in images])


@pytest.mark.real_data
def test_built_sets_follow_the_published_rules(real_data: Path) -> None:
    train, valid, test = (addnist.build(real_data, split) for split in ("train", "valid", "test"))
    assert [len(part.labels) for part in (train, valid, test)] == [45_000, 15_000, 10_000]
    assert (np.bincount(np.concatenate([train.labels, valid.labels])) == 3_000).all()
    assert (np.bincount(test.labels) == 500).all()
    distinct_images = {image.tobytes() for part in (train, valid, test) for image in part.images}
    assert len(distinct_images) == 70_000  # no image occurs twice
    digits = digits_of_channels(test.images[:300], real_data)
    assert (digits.sum(1) - 1 == test.labels[:300]).all()
    again = addnist.build(real_data, "test")
    assert np.array_equal(test.images, again.images)


@pytest.mark.real_data
def test_published_sample_has_the_labels_of_its_digits(real_data: Path) -> None:
    path = os.environ.get("BENCH_ADDNIST_SAMPLE")
    if not path:
        pytest.skip("needs a sample of the published AddNIST in $BENCH_ADDNIST_SAMPLE")
    sample = np.load(path)
    for split in ("train", "valid", "test"):
        images = np.ascontiguousarray(sample[f"{split}_images"].transpose(0, 3, 1, 2))
        digits = digits_of_channels(images, real_data)
        assert (digits.sum(1) - 1 == sample[f"{split}_labels"]).all()


def test_published_arrays_are_denormalised_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(addnist.IMAGES, "valid", 50)
    folder = tmp_path / addnist.FOLDER
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 28, 28), dtype=np.uint8)
    normalised = ((images / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)).astype(np.float32)
    np.save(folder / "valid_x.npy", normalised)
    np.save(folder / "valid_y.npy", np.arange(50) % 20)
    data = addnist.read_published(tmp_path, "valid")
    assert np.array_equal(data.images, images) and data.labels.tolist() == [i % 20 for i in range(50)]
    for invalid in (np.arange(50), np.full(50, -1), np.zeros(50)):  # too many classes, negative, not integers
        np.save(folder / "valid_y.npy", invalid)
        with pytest.raises(DataError, match=r"valid_y.npy: labels must be integers from 0 to 19"):
            addnist.read_published(tmp_path, "valid")
    np.save(folder / "valid_y.npy", np.arange(50) % 20)
    np.save(folder / "valid_x.npy", normalised + np.float32(0.001))
    with pytest.raises(DataError, match="not bytes normalised"):
        addnist.read_published(tmp_path, "valid")
    np.save(folder / "valid_x.npy", normalised[:40])
    with pytest.raises(DataError, match=r"\(40, 3, 28, 28\) with labels \(50,\); expected \(50, 3, 28, 28\)"):
        addnist.read_published(tmp_path, "valid")
    np.save(folder / "valid_x.npy", normalised[:, :1])
    with pytest.raises(DataError, match=r"expected \(50, 3, 28, 28\)"):
        addnist.read_published(tmp_path, "valid")
    (folder / "valid_x.npy").write_bytes(b"<html>")
    with pytest.raises(DataError, match="cannot be read"):
        addnist.read_published(tmp_path, "valid")
