"""Conversion of data sets into .npz, and the description for a track's file that it prints."""

import gzip
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.contract.datasets import DataSource
from bench.data import store
from bench.data.fetch import fetch
from bench.data.importing import read_source
from bench.errors import DataError
from tests.data.test_own_files import arrays, by_content, write_arrays, write_folder
from tests.making import bench


def described(output: str) -> DataSource:
    """Return the data set in the printed lines of a track's file."""
    return DataSource.model_validate(yaml.safe_load(output)["data"])


def test_folder_of_pictures_is_converted_and_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = arrays(3, validation=True)
    write_folder(tmp_path / "pictures", content)
    monkeypatch.chdir(tmp_path)
    result = bench("data", "import", "folder:pictures", "mine.npz", "--test-output", "hidden.npz")
    assert result.returncode == 0, result.stderr
    source = described(result.stdout)
    assert (source.channels, source.size, source.class_names) == (3, 12, ("class0", "class1", "class2"))
    for split in ("validation", "test"):
        data = store.load(source, split, tmp_path)  # type: ignore[arg-type]
        assert by_content(data.images, data.labels) == by_content(
            content[f"{split}_images"], content[f"{split}_labels"]
        )
    with np.load("mine.npz") as archive:
        assert not any(name.startswith("test") for name in archive.files)
    again = bench("data", "import", "folder:pictures", "mine.npz")
    assert again.returncode == 2 and "mine.npz: exists already" in again.stderr


def test_pictures_are_scaled_by_the_shorter_side_and_cropped(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200  # the centre
    Image.fromarray(wide).save(folder / "wide.png")
    Image.fromarray(np.full((64, 32, 3), 90, np.uint8)).save(folder / "tall.jpg")
    images = read_source(f"folder:{tmp_path}", tmp_path, 8).splits["train"].images
    assert images.shape == (2, 3, 8, 8)
    assert (np.abs(images[0].astype(int) - 90) <= 1).all()
    assert (np.abs(images[1].astype(int) - 200) <= 12).all()  # ringing at its edge; the black sides would be 0
    with pytest.raises(DataError, match=r"wide\.png: 48×16 pixels, others 32×64; give all the same size"):
        read_source(f"folder:{tmp_path}", tmp_path, None)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_converted(suffix: str, tmp_path: Path) -> None:
    content = arrays(1)
    for split, theirs in (("train", "train"), ("test", "t10k")):
        for kind, name in (("images", "images-idx3-ubyte"), ("labels", "labels-idx1-ubyte")):
            values = (
                content[f"{split}_{kind}"].reshape(-1, 12, 12) if kind == "images" else content[f"{split}_labels"]
            )
            header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            raw = header + values.astype(np.uint8).tobytes()
            (tmp_path / f"{theirs}-{name}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    splits = read_source(f"idx:{tmp_path}", tmp_path, None).splits
    assert np.array_equal(splits["train"].images, content["train_images"])
    assert np.array_equal(splits["test"].labels, content["test_labels"])


def test_arrays_are_converted(tmp_path: Path) -> None:
    content = arrays(3, validation=True)
    write_arrays(tmp_path, content)
    splits = read_source(f"arrays:{tmp_path}", tmp_path, None).splits
    assert list(splits) == ["train", "validation", "test"]
    assert np.array_equal(splits["validation"].images, content["validation_images"])


@pytest.mark.real_data
def test_torchvision_gives_the_images_of_our_own_reader(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "MNIST").symlink_to(real_data / "MNIST")
    imported = read_source("torchvision:MNIST", tmp_path, None)
    expected = store.load("mnist", "test", real_data)
    assert np.array_equal(imported.splits["test"].images, expected.images)
    assert np.array_equal(imported.splits["test"].labels, expected.labels)
    assert imported.num_classes == 10 and imported.image_shape == (1, 28, 28)
    assert len(store.load("mnist", "train+validation", real_data).labels) == 60_000


def test_torchvision_set_with_splits_skips_the_absent_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        classes = ("cat", "dog")

        def __init__(self, root: str, split: str, download: bool) -> None:
            if split not in ("train", "test"):
                raise ValueError(f"unknown split {split}")
            self.count = 6 if split == "train" else 4

        def __iter__(self) -> object:
            return iter((Image.new("RGB", (10, 14), (i, 0, 0)), i % 2) for i in range(self.count))

    monkeypatch.setattr("torchvision.datasets.Small", Small, raising=False)
    imported = read_source("torchvision:Small", tmp_path, 9)
    assert {split: data.images.shape for split, data in imported.splits.items()} == {
        "train": (6, 3, 9, 9),
        "test": (4, 3, 9, 9),
    }
    assert imported.class_names == ("cat", "dog")


def test_medmnist_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for the package, which would download: its interface is that of medmnist 3.0."""

    class Cells:
        def __init__(self, split: str, download: bool, root: str) -> None:
            count = {"train": 5, "val": 3, "test": 2}[split]
            self.imgs, self.labels = np.full((count, 28, 28), count, np.uint8), np.arange(count)[:, None] % 2

    fake = ModuleType("medmnist")
    info = {"python_class": "Cells", "task": "binary-class", "label": {"0": "well", "1": "ill"}}
    several = {**info, "task": "multi-label, binary-class"}
    vars(fake).update(INFO={"cells": info, "chest": several}, Cells=Cells)
    monkeypatch.setitem(sys.modules, "medmnist", fake)
    imported = read_source("medmnist:Cells", tmp_path, None)
    assert [len(data.labels) for data in imported.splits.values()] == [5, 3, 2]
    assert imported.class_names == ("well", "ill") and imported.image_shape == (1, 28, 28)
    with pytest.raises(DataError, match="several labels per image"):
        read_source("medmnist:chest", tmp_path, None)
    with pytest.raises(DataError, match="unknown; known are cells, chest"):
        read_source("medmnist:none", tmp_path, None)


def test_huggingface_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for the package, which would download: its interface is that of datasets 3."""

    class ClassLabel:
        names = ("no", "yes")

    class Picture:
        pass

    class Split(list):  # type: ignore[type-arg]
        features = {"img": Picture(), "label": ClassLabel()}

    rows = [{"img": Image.new("L", (8, 8), i), "label": i % 2} for i in range(4)]
    fake = ModuleType("datasets")
    content = {"train": Split(rows), "test": Split(rows[:2])}
    vars(fake).update(ClassLabel=ClassLabel, Image=Picture, load_dataset=lambda name, cache_dir: content)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    imported = read_source("huggingface:user/set", tmp_path, None)
    assert imported.splits["train"].images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert list(imported.splits) == ["train", "test"] and imported.class_names == ("no", "yes")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("SVHN", "write KIND:NAME, such as torchvision:SVHN; kinds are torchvision"),
        ("ftp:x", "write KIND:NAME"),
        ("torchvision:Nope", "torchvision.datasets has no such class"),
        ("torchvision:FakeData", "has neither `train` nor `split`"),
        ("folder:none", "folder:none: no such folder"),
        ("idx:none", r"train-images-idx3-ubyte\.gz: cannot be read"),
    ],
)
def test_unknown_sources_are_refused(source: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_source(source, tmp_path, None)


@pytest.mark.parametrize("name", ["medmnist", "datasets"])
def test_missing_package_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    kind = "huggingface" if name == "datasets" else name
    with pytest.raises(DataError, match=rf"pip install 'capbench\[{kind}\]'"):
        read_source(f"{kind}:x", tmp_path, None)


def test_known_set_is_fetched_once_and_read_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def download(root: str, train: bool, download: bool) -> object:
        calls.append(root)
        return [(Image.new("L", (28, 28), label), label) for label in range(10)]

    monkeypatch.setattr("torchvision.datasets.KMNIST", download)
    assert store.available("kmnist", tmp_path) is not None
    assert fetch("kmnist", tmp_path) == fetch("kmnist", tmp_path) == [tmp_path / "kmnist.npz"]
    assert len(calls) == 2  # train and test, once
    assert store.available("kmnist", tmp_path) is None
    data = store.load("kmnist", "test", tmp_path)
    assert data.images.shape == (10, 1, 28, 28) and data.labels.tolist() == list(range(10))
