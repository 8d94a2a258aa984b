"""Reader of a folder of .npy files: ``train_x.npy``, ``train_y.npy``, ``valid_x.npy`` and so on.

These are the names of the NAS Unseen-Data contests (Geada et al. 2024, arXiv 2404.02189).
"""

from pathlib import Path

import numpy as np

from bench.contract.datasets import FileSplit, Normalisation
from bench.data.images import LabelledImages
from bench.data.npz import NAMES
from bench.data.split_files import first_missing, labelled
from bench.errors import DataError


class NpyFolder:
    """A folder of .npy files, or one with the train and one with the test split."""

    def __init__(self, path: Path, test_path: Path | None = None, normalised: Normalisation | None = None) -> None:
        self.path, self.test_path, self.normalised = path, test_path, normalised

    def missing(self, split: FileSplit) -> Path | None:
        """Return a file of a split that does not exist; None if both exist."""
        return first_missing(list(self._files(split)))

    def read(self, split: FileSplit) -> LabelledImages:
        """Read a split.

        Raises:
            DataError: If a file is missing or damaged, or does not contain labelled images.
        """
        arrays = []
        for path in self._files(split):
            try:
                arrays.append(np.load(path, allow_pickle=False))
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{path}: cannot be read ({error})") from None
        return labelled(arrays[0], arrays[1], self._files(split)[0], self.normalised)

    def files(self) -> list[Path]:
        """Return the files that exist."""
        return [path for split in NAMES for path in self._files(split) if path.exists()]

    def _files(self, split: FileSplit) -> tuple[Path, Path]:
        folder = self.test_path if split == "test" and self.test_path is not None else self.path
        names = [name for name in NAMES[split] if (folder / f"{name}_x.npy").exists()]
        name = names[0] if names else NAMES[split][0]
        return folder / f"{name}_x.npy", folder / f"{name}_y.npy"
