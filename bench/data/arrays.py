"""Splits of data sets as separate array files, so that a submission's process can read only what it may read.

The official files contain images together with labels. A process that gets the images must not be able to read the
labels from the same file. Therefore each array has its own file, and a process gets the paths that it may read.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.jobs.spec import ArrayFile
from bench.data.images import LabelledImages
from bench.errors import DataError
from bench.files import atomic_path, hash_file


def write_array(array: NDArray[np.generic], folder: Path, name: str) -> ArrayFile:
    """Write ``array`` to ``folder``, unless the file already has the same content.

    Args:
        array: An array of any shape and numeric type.
        folder: The folder; created if it does not exist.
        name: Name of the file without suffix; it identifies the content, so that other commands reuse the file.

    Returns:
        The path and sha256 of the file.

    Raises:
        OSError: If the folder cannot be written.
    """
    path = folder / f"{name}.npy"
    if path.exists() and _same(path, array):
        return ArrayFile(path=path.resolve(), sha256=hash_file(path))
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return ArrayFile(path=path.resolve(), sha256=hash_file(path))


def _same(path: Path, array: NDArray[np.generic]) -> bool:
    try:
        return bool(np.array_equal(np.load(path, mmap_mode="r", allow_pickle=False), array))
    except (OSError, ValueError):
        return False


def read_array(file: ArrayFile) -> NDArray[np.generic]:
    """Read an array file and check its sha256.

    Raises:
        DataError: If it is missing or was altered after it was written.
    """
    try:
        if hash_file(file.path) != file.sha256:
            raise DataError(f"{file.path}: was altered while runs used it; remove it and repeat the command")
        return np.load(file.path, allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise DataError(f"{file.path}: cannot be read ({error}); repeat the command") from None


def read_labelled(images: ArrayFile, labels: ArrayFile) -> LabelledImages:
    """Read images and their labels.

    Raises:
        DataError: As ``read_array``.
    """
    return LabelledImages(read_array(images), read_array(labels))  # type: ignore[arg-type]
