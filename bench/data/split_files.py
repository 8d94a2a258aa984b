"""The interface of readers: the files of one data set, by the splits in which it was published."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.contract.datasets import FileSplit, Normalisation
from bench.data.images import LabelledImages
from bench.errors import DataError

CHUNK = 5_000  # images converted at once, to save memory


class SplitFiles(Protocol):
    """The files of one data set."""

    def missing(self, split: FileSplit) -> Path | None:
        """Return a file or folder of a split that does not exist; None if all exist."""

    def read(self, split: FileSplit) -> LabelledImages:
        """Read a split, and no file that only other splits need.

        Raises:
            DataError: If a file is missing or damaged, or does not contain labelled images.
        """

    def files(self) -> list[Path]:
        """Return all files of the data set that exist."""


def labelled(
    images: NDArray[np.generic],
    labels: NDArray[np.generic],
    where: Path | str,
    normalised: Normalisation | None = None,
) -> LabelledImages:
    """Return arrays of an organiser's file as labelled images.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), with C = 1 or 3; uint8, or floats that are bytes
            divided by 255 or normalised.
        labels: (N,) or (N, 1), any integer type.
        where: The file, for messages.
        normalised: The normalisation of the images; None for bytes, or bytes divided by 255.

    Raises:
        DataError: If shapes, types or values are others.
    """
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"{where}: images have shape {images.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    if images.dtype != np.uint8:
        images = to_bytes(images, normalised, where)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{where}: labels are {labels.shape} {labels.dtype}; expected ({len(images)},), integers from 0"
        )
    return LabelledImages(np.ascontiguousarray(images), labels.astype(np.int64))


def to_bytes(
    values: NDArray[np.generic], normalised: Normalisation | None, where: Path | str
) -> NDArray[np.uint8]:
    """Return the bytes x from values ``(x / 255 - mean) / std``, (N, C, H, W), exactly.

    Raises:
        DataError: If a value does not correspond to a byte.
    """
    channels = values.shape[1]
    numbers = normalised or Normalisation(mean=(0.0,), std=(1.0,))
    if not {len(numbers.mean), len(numbers.std)} <= {1, channels}:
        raise DataError(f"{where}: `normalised` has {len(numbers.mean)} means for {channels} channels")
    mean, std = (np.reshape(np.array(n, np.float64), (-1, 1, 1)) for n in (numbers.mean, numbers.std))
    result = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        if not np.issubdtype(chunk.dtype, np.floating):
            raise DataError(f"{where}: images are {chunk.dtype}; store them as uint8, 0 to 255")
        levels = (chunk.astype(np.float64) * std + mean) * 255
        rounded = levels.round()
        if not (np.abs(levels - rounded).max() < 1e-2 and rounded.min() >= 0 and rounded.max() <= 255):
            remedy = "divided by 255; store uint8, or give the `normalised` mean and std that they have"
            if normalised is not None:
                remedy = f"normalised with mean {normalised.mean} and std {normalised.std}"
            raise DataError(f"{where}: values from {chunk.min():g} to {chunk.max():g} are not bytes {remedy}")
        result[start : start + CHUNK] = rounded
    return result


def first_missing(paths: list[Path]) -> Path | None:
    """Return the first of ``paths`` that does not exist."""
    return next((path for path in paths if not path.exists()), None)


class Published:
    """The official files of a known data set, read by the functions of its module."""

    def __init__(self, paths: dict[FileSplit, list[Path]], read: Callable[[FileSplit], LabelledImages]) -> None:
        """Describe the files.

        Args:
            paths: Split -> its files; without "validation" if that is not published.
            read: Reads a split.
        """
        self._paths, self.read = paths, read

    def missing(self, split: FileSplit) -> Path | None:
        """Return a file of a split that does not exist; None if all exist."""
        return first_missing(self._paths[split]) if split in self._paths else Path(f"{split} (not published)")

    def files(self) -> list[Path]:
        """Return all files in the folders of the data set."""
        folders = {path.parent for paths in self._paths.values() for path in paths}
        return sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file())
