"""Reader of the official CIFAR-100 python files (Krizhevsky 2009, "Learning multiple layers of features")."""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.images import LabelledImages
from bench.errors import DataError

FOLDER = "cifar-100-python"
MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
IMAGES = {"train": 50_000, "test": 10_000}
ARCHIVE = "cifar-100-python.tar.gz"
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"

# The only globals in the official files: numpy's array constructors, under their names of 2009 and of today.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler of dicts, lists, bytes and numpy arrays that refuses all other globals."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"names {module}.{name}, which is not allowed in a data file")
        if module.startswith("numpy.core"):
            module = module.replace("numpy.core", "numpy._core")
        return super().find_class(module, name)


def read_pickle(content: bytes) -> dict[bytes, Any]:
    """Unpickle the dict in an official file, without executing code.

    Raises:
        ValueError: If the content is not a pickled dict of plain data and arrays.
    """
    try:
        value = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises almost any exception type
        raise ValueError(f"not a pickle of plain arrays ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"contains a {type(value).__name__}, not a dict")
    return value


def read_file(root: Path, name: str) -> dict[bytes, Any]:
    """Read one of the official files and check its md5.

    Raises:
        DataError: If it is missing, truncated or altered.
    """
    path = root / FOLDER / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); `bench data list` says how to get it"
        ) from None
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != MD5[name]:
        raise DataError(
            f"{path}: {len(content):,} bytes with md5 {digest}, the official file has {MD5[name]}; it is "
            "truncated or altered, delete it and download it again (`bench data fetch cifar100`)"
        )
    try:
        return read_pickle(content)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def read(root: Path, split: str) -> LabelledImages:
    """Read the official ``train`` (50,000) or ``test`` (10,000) images with their fine labels, 0 to 99.

    Raises:
        DataError: If the file is missing, truncated or altered.
    """
    content = read_file(root, split)
    images = content[b"data"].reshape(IMAGES[split], 3, 32, 32)
    return LabelledImages(np.ascontiguousarray(images), np.asarray(content[b"fine_labels"], dtype=np.int64))


def class_names(root: Path) -> list[str]:
    """Read the names of the 100 fine classes, in label order."""
    return [name.decode() for name in read_file(root, "meta")[b"fine_label_names"]]
