"""Parts of data sets as plain arrays on disk: what a submission's process may read, and nothing beside it.

The official files hold images and labels together. A process that is handed images must not find the labels by
opening the same file, so each array is a file of its own, and a process is told of those that it may have.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.jobs import ArrayFile
from bench.data.images import LabelledImages
from bench.errors import DataError
from bench.files import atomic_path, hash_file


def write_array(array: NDArray[np.generic], folder: Path, name: str) -> ArrayFile:
    """Keep ``array`` in ``folder``, unless the same is there under that name.

    Args:
        array: Of any shape and numeric type.
        folder: Made if it is not there.
        name: Of the file, without ending; says what is in it, so that a second command finds it.

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
    """The array of a file that must be what was written.

    Raises:
        DataError: If it is absent or was altered meanwhile.
    """
    try:
        if hash_file(file.path) != file.sha256:
            raise DataError(f"{file.path}: was altered while runs used it; remove it and repeat the command")
        return np.load(file.path, allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise DataError(f"{file.path}: cannot be read ({error}); repeat the command") from None


def read_labelled(images: ArrayFile, labels: ArrayFile) -> LabelledImages:
    """Images with their labels.

    Raises:
        DataError: As from ``read_array``.
    """
    return LabelledImages(read_array(images), read_array(labels))  # type: ignore[arg-type]
