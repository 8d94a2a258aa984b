"""Location, availability and splits of data sets. Loading the train split never opens a test file."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from bench import files as bench_files
from bench.contract.contest import find_contest
from bench.contract.datasets import DataSource, FileSplit, Source, has_own_files, name_of
from bench.contract.tracks import Split, Track
from bench.data import shapes
from bench.data.images import LabelledImages, fingerprint, stratified_validation
from bench.data.known import FORMATS, KNOWN, DatasetInfo
from bench.data.split_files import SplitFiles
from bench.errors import DataError
from bench.files import atomic_path

VALIDATION_FRACTION = 0.1  # of the official train set, if no validation set is published


def data_root(option: Path | None) -> Path:
    """Return the folder of data sets: the option, else the contest's, $BENCH_DATA, or this user's cache folder."""
    if option is not None:
        return option
    contest = find_contest()
    if contest is not None and contest.data_root is not None:
        return contest.data_root
    variable = os.environ.get("BENCH_DATA")
    return Path(variable) if variable else cache_folder()


def cache_folder() -> Path:
    """Return the cache folder of drawn data sets, which is also the default folder of downloads."""
    return bench_files.cache_folder() / "data"


def describe(source: Source) -> DatasetInfo:
    """Return the static information about a data set.

    Raises:
        DataError: If there is no data set of this name, or own files have the name of a known one.
    """
    name = name_of(source)
    if has_own_files(source):
        if name in KNOWN or shapes.NAME.fullmatch(name):
            raise DataError(f"data set {name!r}: a known data set has this name; give your own files another one")
        title = f"{name}, {source.num_classes} classes of {source.size}×{source.size}, in {source.path}"
        return DatasetInfo(name, title, source.image_shape, source.num_classes, "ask the organiser of the contest")
    if name in KNOWN:
        return KNOWN[name].info
    if not name.startswith("shapes"):
        raise DataError(f"data set {name!r} is unknown; known are {', '.join(KNOWN)} and shapes<classes>[x<size>]")
    drawn = shapes.parse_name(name)
    title = f"drawn shapes, {drawn.classes} classes of {drawn.size}×{drawn.size}" + (
        ", grey" if drawn.grey else ""
    )
    shape = (1 if drawn.grey else 3, drawn.size, drawn.size)
    return DatasetInfo(name, title, shape, drawn.classes, "no download: it is drawn")


def drawn_counterpart(track: Track) -> str:
    """Return the drawn data set with which a track can be tried without its data.

    Unless the track names one, it has the images' shape and, up to 100, as many classes.
    """
    if track.embedded_data is not None:
        return track.embedded_data
    info = describe(track.data)
    channels, size, _ = info.image_shape
    return f"shapes{min(info.num_classes, 100)}x{size}{shapes.GREY if channels == 1 else ''}"


def split_files(source: Source, root: Path) -> SplitFiles | None:
    """Return the files of a data set; None for a drawn one.

    Args:
        source: A data set that ``describe`` knows.
        root: Folder of data sets, see ``data_root``.

    Raises:
        DataError: As ``describe``.
    """
    name = describe(source).name
    if isinstance(source, DataSource) and source.format is not None:
        paths = {key: root / path for key in ("path", "test_path") if (path := getattr(source, key)) is not None}
        return FORMATS[source.format](source.model_copy(update=paths))  # absolute paths stay as they are
    return KNOWN[name].files(root) if name in KNOWN else None


def available(source: Source, root: Path, splits: Sequence[Split] = ("train+validation", "test")) -> str | None:
    """Return None if the splits of a data set are available; else one line with the reason and how to get it."""
    info, files = describe(source), split_files(source, root)
    if files is None:
        return None
    absent = {split: path for split in file_splits(splits) if (path := files.missing(split)) is not None}
    if not absent:
        return None
    if not has_own_files(source):
        return f"data set {info.name} is not in {root} (--data-root, $BENCH_DATA): {info.how_to_get}"
    split, path = next(iter(absent.items()))
    places = f"it starts at the track's file, or at {root} (--data-root, $BENCH_DATA)"
    written = path.relative_to(root) if path.is_relative_to(root) else path
    if files.missing("train") is None:
        return (
            f"data set {info.name}: no test split here ({written}; {places}); only official runs, which the "
            "organiser makes, need it; use --profile quick or tuning"
        )
    return f"data set {info.name}: the {split} split, {written}, does not exist; {places}"


def file_splits(splits: Sequence[Split]) -> list[FileSplit]:
    """Return the published splits that ``splits`` are read from; validation may be a part of train."""
    needed: list[FileSplit] = []
    if set(splits) != {"test"}:
        needed.append("train")
    if "test" in splits:
        needed.append("test")
    return needed


def files_of(source: Source, root: Path) -> list[Path]:
    """Return the files from which a data set is read; none for a drawn one."""
    files = split_files(source, root)
    return [] if files is None else files.files()


def load(source: Source, split: Split, root: Path) -> LabelledImages:
    """Load one split of a data set.

    Args:
        source: A data set that ``describe`` knows.
        split: "train" excludes the validation images; "train+validation" contains all images except "test".
        root: Folder of data sets, see ``data_root``.

    Raises:
        DataError: If a file is missing, damaged, or not the official one.
    """
    info, files = describe(source), split_files(source, root)
    count = source.train_images if isinstance(source, DataSource) else None
    if files is None:
        return _with_frozen_validation(lambda part: _drawn(info.name, part), split, count)

    def read(part: FileSplit) -> LabelledImages:
        return _checked(files.read(part), part, source, info)

    if split != "test" and files.missing("validation") is None:
        return _with_published_validation(read, split, count)
    return _with_frozen_validation(read, split, count)


def _checked(data: LabelledImages, part: FileSplit, source: Source, info: DatasetInfo) -> LabelledImages:
    """Check a split of own files against the track's description.

    Raises:
        DataError: If shape, labels or content differ from it.
    """
    if not has_own_files(source):
        return data
    where = f"data set {info.name}, {part}"
    if data.images.shape[1:] != info.image_shape:
        raise DataError(f"{where}: images are {data.images.shape[1:]}; the track says {info.image_shape}")
    if len(data.labels) == 0:
        raise DataError(f"{where}: there is no image")
    if data.labels.min() < 0 or data.labels.max() >= info.num_classes:
        raise DataError(
            f"{where}: labels from {data.labels.min()} to {data.labels.max()}; the track has {info.num_classes} "
            f"classes, 0 to {info.num_classes - 1}"
        )
    expected = source.sha256.get(part)
    if expected is not None and (found := fingerprint(data)) != expected:
        raise DataError(f"{where}: has sha256 {found}, the track says {expected}; get the organiser's files again")
    return data


def _with_frozen_validation(
    read: Callable[[FileSplit], LabelledImages], split: Split, train_images: int | None
) -> LabelledImages:
    """Return a split of a set that is published as train and test; validation is a fixed 10 % of train."""
    if split == "test":
        return read("test")
    train = read("train").stratified(train_images)
    if split == "train+validation":
        return train
    validation = stratified_validation(train.labels, VALIDATION_FRACTION)
    return train.subset(validation if split == "validation" else ~validation)


def _with_published_validation(
    read: Callable[[FileSplit], LabelledImages], split: Split, train_images: int | None
) -> LabelledImages:
    if split == "train":
        return read("train").stratified(train_images)
    if split == "train+validation":
        train, valid = read("train").stratified(train_images), read("validation")
        images = np.concatenate([train.images, valid.images])
        return LabelledImages(images, np.concatenate([train.labels, valid.labels]))
    return read(split)


def _drawn(name: str, split: str) -> LabelledImages:
    """Return a drawn set, from the cache if possible. Drawing takes only seconds, so cache errors are ignored."""
    drawn = shapes.parse_name(name)
    if drawn.grey:
        return _drawn(name.removesuffix(shapes.GREY), split).grey()
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
    """Return the class names of a known data set in label order; None if they are not known."""
    text = Path(__file__).with_name("class_names.yaml").read_text(encoding="utf-8")
    names = yaml.safe_load(text).get(data)
    return None if names is None else tuple(names)
