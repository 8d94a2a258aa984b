"""Where data sets lie, which are there, and their parts. What reads the train part never opens a test file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench import files
from bench.data import addnist, cifar100, mnist, shapes
from bench.data.images import LabelledImages, stratified_validation
from bench.errors import DataError
from bench.files import atomic_path

Part = Literal["train", "validation", "train+validation", "test"]
VALIDATION_FRACTION = 0.1  # of the official train set, where no validation set is published


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without opening it."""

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
    f"`bench data fetch cifar100` downloads it (169 MB), or place {cifar100.ARCHIVE} anywhere and "
    "`bench data unpack ITS_FOLDER`",
)
_ADDNIST = DatasetInfo(
    "addnist",
    "AddNIST as published, 45,000 + 15,000 + 10,000 images of 20 classes",
    (3, 28, 28),
    20,
    "get {train,valid,test}_{x,y}.npy from DOI 10.25405/data.ncl.24574354 and `bench data unpack THEIR_FOLDER`; "
    "`bench data fetch mnist` is enough for a set in its style",
)
_ADDNIST_STYLE = DatasetInfo(
    "addnist-style",
    "AddNIST-style, built here from MNIST with a fixed seed",
    (3, 28, 28),
    20,
    "`bench data fetch mnist` downloads the MNIST files (12 MB) that it is built from",
)
REAL = {info.name: info for info in (_CIFAR100, _ADDNIST, _ADDNIST_STYLE)}


def data_root(option: Path | None) -> Path:
    """Where data sets are looked for: the option, else $BENCH_DATA, else this user's cache folder."""
    if option is not None:
        return option
    named = os.environ.get("BENCH_DATA")
    return Path(named) if named else cache_folder()


def cache_folder() -> Path:
    """Where what can be made again is kept: downloads without another root, and drawn data sets."""
    return files.cache_folder() / "data"


def describe(name: str) -> DatasetInfo:
    """What is known of the data set called ``name``.

    Raises:
        DataError: If there is no data set called ``name``.
    """
    if name in REAL:
        return REAL[name]
    if not name.startswith("shapes"):
        raise DataError(f"data set {name!r}: known are {', '.join(REAL)} and shapes<classes>[x<size>]")
    drawn = shapes.parse_name(name)
    title = f"drawn shapes, {drawn.classes} classes of {drawn.size}×{drawn.size}"
    return DatasetInfo(name, title, (3, drawn.size, drawn.size), drawn.classes, "nothing to get: it is drawn")


def available(name: str, root: Path) -> str | None:
    """None if data set ``name`` is there; else one line that says what is missing and how to get it."""
    info = describe(name)
    there = {
        "cifar100": lambda: all((root / cifar100.FOLDER / part).exists() for part in ("train", "test")),
        "addnist": lambda: addnist.published_present(root),
        "addnist-style": lambda: mnist.present(root),
    }
    if name not in there or there[name]():
        return None
    return f"data set {name} is not in {root} (--data-root, $BENCH_DATA): {info.how_to_get}"


def files_of(name: str, root: Path) -> list[Path]:
    """The files under ``root`` that data set ``name`` is read from; none for one that is drawn."""
    folders = {
        "cifar100": Path(cifar100.FOLDER),
        "addnist": Path(addnist.FOLDER),
        "addnist-style": mnist.FOLDER,
    }
    if name not in folders:
        return []
    return sorted(path for path in (root / folders[name]).iterdir() if path.is_file())


def load(name: str, part: Part, root: Path) -> LabelledImages:
    """A part of a data set.

    Args:
        name: A name that ``describe`` knows.
        part: "train" is without the validation images, "train+validation" is all that is not test.
        root: As from ``data_root``.

    Raises:
        DataError: If a file is absent, damaged, or not the official one.
    """
    describe(name)
    if name == "cifar100":
        return _carved(lambda split: cifar100.read(root, split), part)
    if name in ("addnist", "addnist-style"):
        read = addnist.read_published if name == "addnist" else addnist.build
        return _published_split(lambda split: read(root, split), part)
    return _carved(lambda split: _drawn(name, split), part)


def _carved(read: Callable[[str], LabelledImages], part: Part) -> LabelledImages:
    """Parts of a set published as train and test: validation is a frozen tenth of train."""
    if part == "test":
        return read("test")
    whole = read("train")
    if part == "train+validation":
        return whole
    validation = stratified_validation(whole.labels, VALIDATION_FRACTION)
    return whole.subset(validation if part == "validation" else ~validation)


def _published_split(read: Callable[[str], LabelledImages], part: Part) -> LabelledImages:
    if part == "train+validation":
        train, valid = read("train"), read("valid")
        images = np.concatenate([train.images, valid.images])
        return LabelledImages(images, np.concatenate([train.labels, valid.labels]))
    return read("valid" if part == "validation" else part)


def _drawn(name: str, split: str) -> LabelledImages:
    """A drawn set, from the cache if it was drawn before; a cache that cannot be used costs seconds only."""
    drawn = shapes.parse_name(name)
    per_class = shapes.TEST_PER_CLASS if split == "test" else shapes.TRAIN_PER_CLASS
    path = cache_folder() / f"{name}-v{shapes.VERSION}-{split}-{per_class}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return LabelledImages(content["images"], content["labels"])
    except Exception:  # absent, truncated or foreign: it is only a cache
        data = shapes.draw(drawn.classes, drawn.size, split, per_class)
    try:
        with atomic_path(path) as partial, partial.open("wb") as cached:
            np.savez(cached, images=data.images, labels=data.labels)
    except OSError:
        pass  # no cache on this machine
    return data
