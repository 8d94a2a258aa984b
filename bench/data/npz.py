"""Reader of a data set in .npz files: arrays ``train_images``, ``train_labels``, ``test_images`` and so on.

The validation split may be called ``validation``, ``valid`` or ``val``, as in MedMNIST's files.
"""

import zipfile
from pathlib import Path

import numpy as np

from bench.contract.datasets import FileSplit, Normalisation
from bench.data.images import LabelledImages
from bench.data.split_files import labelled
from bench.errors import DataError

NAMES: dict[FileSplit, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}


class NpzFiles:
    """One .npz file, or one with the train and one with the test split."""

    def __init__(self, path: Path, test_path: Path | None = None, normalised: Normalisation | None = None) -> None:
        self.path, self.test_path, self.normalised = path, test_path, normalised

    def missing(self, split: FileSplit) -> Path | None:
        """Return the file of a split that does not exist, or that lacks its arrays; None if it has them."""
        path = self._file(split)
        if not path.exists():
            return path
        return None if self._prefix(path, split) is not None else Path(f"{path} ({split}_images)")

    def read(self, split: FileSplit) -> LabelledImages:
        """Read a split.

        Raises:
            DataError: If the file is missing or damaged, or does not contain the split's images and labels.
        """
        path = self._file(split)
        prefix = self._prefix(path, split)
        if prefix is None:
            raise DataError(f"{path}: has no array {split}_images; it has {', '.join(_keys(path))}")
        try:
            with np.load(path, allow_pickle=False) as content:
                images, labels = (content[f"{prefix}_{kind}"] for kind in ("images", "labels"))
        except KeyError:
            raise DataError(f"{path}: has {prefix}_images, but no {prefix}_labels") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: cannot be read ({error})") from None
        return labelled(images, labels, f"{path}, {prefix}_images", self.normalised)

    def files(self) -> list[Path]:
        """Return the files that exist."""
        return [path for path in (self.path, self.test_path) if path is not None and path.exists()]

    def _file(self, split: FileSplit) -> Path:
        return self.test_path if split == "test" and self.test_path is not None else self.path

    @staticmethod
    def _prefix(path: Path, split: FileSplit) -> str | None:
        keys = _keys(path)
        return next((name for name in NAMES[split] if f"{name}_images" in keys), None)


def _keys(path: Path) -> list[str]:
    """Return the names of the arrays in a file, without reading them.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except zipfile.BadZipFile:
        raise DataError(f"{path}: no intact .npz file; expected one with train_images, train_labels, …") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
