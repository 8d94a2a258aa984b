"""Reader of a folder of pictures: ``train/CLASS/*.png``, ``test/CLASS/*.jpg`` and so on.

The layout is that of torchvision's ImageFolder, with one folder per split. Labels follow the declared class names;
without these, the sorted names of the folders in ``train``.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.contract.datasets import FileSplit
from bench.data.images import LabelledImages
from bench.data.npz import NAMES
from bench.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")


class ImageFolder:
    """A folder of pictures, one folder per class in one folder per split."""

    def __init__(
        self,
        path: Path,
        test_path: Path | None = None,
        *,
        channels: int = 3,
        size: int | None = None,
        class_names: tuple[str, ...] | None = None,
        resize: int | None = None,
    ) -> None:
        """Describe the folder.

        Args:
            path: Holds one folder per split.
            test_path: The folder of the test split; None for ``path``/test.
            channels: 3, or 1 to read pictures as grey.
            size: Side of every picture in pixels; None for any common size.
            class_names: Names of the class folders in label order; None for their sorted names.
            resize: Side to which every picture is scaled and cropped; None to keep the pictures as they are.
        """
        self.path, self.test_path = path, test_path
        self.channels, self.size, self.class_names, self.resize = channels, size, class_names, resize

    def missing(self, split: FileSplit) -> Path | None:
        """Return the folder of a split that does not exist; None if it does."""
        folder = self._folder(split)
        return None if folder.is_dir() else folder

    def read(self, split: FileSplit) -> LabelledImages:
        """Read a split, class by class, and within a class by file name.

        Raises:
            DataError: If a folder is missing or unknown, or a picture cannot be read or has another size.
        """
        images: list[np.ndarray] = []
        labels: list[int] = []
        folder = self._folder(split)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; expected one folder of pictures per class in it")
        names = self.names()
        unknown = sorted(set(_class_folders(folder)) - set(names))
        if unknown:
            raise DataError(
                f"{folder / unknown[0]}: no class has this name; the {len(names)} classes are {_few(names)}"
            )
        for label, name in enumerate(names):
            for path in _pictures(folder / name):
                picture = self._picture(path)
                if images and picture.shape != images[0].shape:
                    raise DataError(
                        f"{path}: {_size(picture)} pixels, others {_size(images[0])}; give all the "
                        "same size (`bench data import folder:… --size` does)"
                    )
                images.append(picture)
                labels.append(label)
        if not images:
            raise DataError(f"{folder}: no picture in its class folders ({', '.join(SUFFIXES)})")
        return LabelledImages(np.stack(images), np.array(labels, dtype=np.int64))

    def names(self) -> tuple[str, ...]:
        """Return the class names in label order."""
        return self.class_names or tuple(_class_folders(self._folder("train")))

    def files(self) -> list[Path]:
        """Return all pictures."""
        folders = [self._folder(split) for split in NAMES]
        return [path for folder in folders for name in _class_folders(folder) for path in _pictures(folder / name)]

    def _folder(self, split: FileSplit) -> Path:
        if split == "test" and self.test_path is not None:
            return self.test_path
        present = [name for name in NAMES[split] if (self.path / name).is_dir()]
        return self.path / (present[0] if present else NAMES[split][0])

    def _picture(self, path: Path) -> np.ndarray:
        """Return a picture as (C, H, W) uint8."""
        try:
            with Image.open(path) as file:
                image = file.convert("RGB" if self.channels == 3 else "L")
            picture = np.asarray(image if self.resize is None else resized(image, self.resize))
        except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: cannot be read as a picture ({error})") from None
        if self.size is not None and picture.shape[:2] != (self.size, self.size):
            raise DataError(
                f"{path}: {picture.shape[1]}×{picture.shape[0]} pixels; the track says size {self.size} "
                "(`bench data import folder:… --size` resizes)"
            )
        return picture[None] if picture.ndim == 2 else np.ascontiguousarray(picture.transpose(2, 0, 1))


def resized(image: Image.Image, size: int) -> Image.Image:
    """Scale a picture so that its shorter side has ``size`` pixels, with antialiasing, and crop the centre."""
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[2]}×{picture.shape[1]}"


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
