"""Location, availability and splits of data sets. Loading the train split never opens a test file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from bench import files
from bench.contract.tracks import Split
from bench.data import addnist, cifar100, mnist, shapes
from bench.data.images import LabelledImages, stratified_validation
from bench.errors import DataError
from bench.files import atomic_path

VALIDATION_FRACTION = 0.1  # of the official train set, if no validation set is published


@dataclass(frozen=True)
class DatasetInfo:
    """Static information about a data set."""

    name: str
    title: str
    image_shape: tuple[int, int, int]
    num_classes: int
    how_to_get: str


_CIFAR100 = DatasetInfo(
    "cifar100",
    "CIFAR-100, 50,000 + 10,000 photographs of 100 classes",
    (3, 32, 32),
    100,
    f"`bench data fetch cifar100` downloads it (169 MB), or run `bench data unpack FOLDER` on a folder with "
    f"{cifar100.ARCHIVE}",
)
_ADDNIST = DatasetInfo(
    "addnist",
    "AddNIST as published, 45,000 + 15,000 + 10,000 images of 20 classes",
    (3, 28, 28),
    20,
    "download {train,valid,test}_{x,y}.npy from DOI 10.25405/data.ncl.24574354 and run "
    "`bench data unpack FOLDER`, or `bench data fetch mnist`, which is enough for the AddNIST-style data set",
)
_ADDNIST_STYLE = DatasetInfo(
    "addnist-style",
    "AddNIST-style, built here from MNIST with a fixed seed",
    (3, 28, 28),
    20,
    "`bench data fetch mnist` downloads the MNIST files (12 MB) from which it is built",
)
REAL = {info.name: info for info in (_CIFAR100, _ADDNIST, _ADDNIST_STYLE)}


def data_root(option: Path | None) -> Path:
    """Return the folder of data sets: the option, else $BENCH_DATA, else this user's cache folder."""
    if option is not None:
        return option
    variable = os.environ.get("BENCH_DATA")
    return Path(variable) if variable else cache_folder()


def cache_folder() -> Path:
    """Return the cache folder of drawn data sets, which is also the default folder of downloads."""
    return files.cache_folder() / "data"


def describe(name: str) -> DatasetInfo:
    """Return the static information about the data set ``name``.

    Raises:
        DataError: If there is no such data set.
    """
    if name in REAL:
        return REAL[name]
    if not name.startswith("shapes"):
        raise DataError(f"data set {name!r} is unknown; known are {', '.join(REAL)} and shapes<classes>[x<size>]")
    drawn = shapes.parse_name(name)
    title = f"drawn shapes, {drawn.classes} classes of {drawn.size}×{drawn.size}"
    return DatasetInfo(name, title, (3, drawn.size, drawn.size), drawn.classes, "no download: it is drawn")


def available(name: str, root: Path) -> str | None:
    """Return None if data set ``name`` is available; else one line with the folder searched and how to get it."""
    info = describe(name)
    is_present = {
        "cifar100": lambda: all((root / cifar100.FOLDER / file).exists() for file in ("train", "test")),
        "addnist": lambda: addnist.published_present(root),
        "addnist-style": lambda: mnist.present(root),
    }
    if name not in is_present or is_present[name]():
        return None
    return f"data set {name} is not in {root} (--data-root, $BENCH_DATA): {info.how_to_get}"


def files_of(name: str, root: Path) -> list[Path]:
    """Return the files under ``root`` from which data set ``name`` is read; none for a drawn data set."""
    folders = {
        "cifar100": Path(cifar100.FOLDER),
        "addnist": Path(addnist.FOLDER),
        "addnist-style": mnist.FOLDER,
    }
    if name not in folders:
        return []
    return sorted(path for path in (root / folders[name]).iterdir() if path.is_file())


def load(name: str, split: Split, root: Path) -> LabelledImages:
    """Load one split of a data set.

    Args:
        name: A name that ``describe`` knows.
        split: "train" excludes the validation images; "train+validation" contains all images except "test".
        root: Folder of data sets, see ``data_root``.

    Raises:
        DataError: If a file is missing, damaged, or not the official one.
    """
    describe(name)
    if name == "cifar100":
        return _with_frozen_validation(lambda file: cifar100.read(root, file), split)
    if name in ("addnist", "addnist-style"):
        read = addnist.read_published if name == "addnist" else addnist.build
        return _with_published_validation(lambda file: read(root, file), split)
    return _with_frozen_validation(lambda file: _drawn(name, file), split)


def _with_frozen_validation(read: Callable[[str], LabelledImages], split: Split) -> LabelledImages:
    """Return a split of a set that is published as train and test; validation is a fixed 10 % of train."""
    if split == "test":
        return read("test")
    train = read("train")
    if split == "train+validation":
        return train
    validation = stratified_validation(train.labels, VALIDATION_FRACTION)
    return train.subset(validation if split == "validation" else ~validation)


def _with_published_validation(read: Callable[[str], LabelledImages], split: Split) -> LabelledImages:
    if split == "train+validation":
        train, valid = read("train"), read("valid")
        images = np.concatenate([train.images, valid.images])
        return LabelledImages(images, np.concatenate([train.labels, valid.labels]))
    return read("valid" if split == "validation" else split)


def _drawn(name: str, split: str) -> LabelledImages:
    """Return a drawn set, from the cache if possible. Drawing takes only seconds, so cache errors are ignored."""
    drawn = shapes.parse_name(name)
    per_class = shapes.TEST_PER_CLASS if split == "test" else shapes.TRAIN_PER_CLASS
    path = cache_folder() / f"{name}-v{shapes.VERSION}-{split}-{per_class}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return LabelledImages(content["images"], content["labels"])
    except Exception:  # missing, truncated or in another format: draw it again
        data = shapes.draw(drawn.classes, drawn.size, split, per_class)
    try:
        with atomic_path(path) as partial, partial.open("wb") as cached:
            np.savez(cached, images=data.images, labels=data.labels)
    except OSError:
        pass  # the cache folder cannot be written
    return data


@cache
def class_names(data: str) -> tuple[str, ...] | None:
    """Return the class names of a data set in label order; None if they are not known."""
    text = Path(__file__).with_name("class_names.yaml").read_text(encoding="utf-8")
    names = yaml.safe_load(text).get(data)
    return None if names is None else tuple(names)
