"""Conversion of data sets into one .npz file, from torchvision, medmnist, Hugging Face, pictures or IDX files.

A source is written ``KIND:NAME``. Downloads of a library stay in the folder of data sets.
"""

import gzip
import inspect
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contract.datasets import FILE_SPLITS, FileSplit
from bench.data.image_folder import ImageFolder, resized
from bench.data.images import LabelledImages
from bench.data.mnist import parse_idx
from bench.data.npy_folder import NpyFolder
from bench.data.split_files import SplitFiles, labelled
from bench.errors import DataError
from bench.files import atomic_path

Names = tuple[str, ...] | None
MEDMNIST_SPLITS: dict[FileSplit, str] = {"train": "train", "validation": "val", "test": "test"}
IDX_SPLITS: dict[FileSplit, str] = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Imported:
    """A data set to be written as .npz."""

    splits: dict[FileSplit, LabelledImages]
    class_names: Names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of all images."""
        channels, height, width = self.splits["train"].images.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """The number of classes: of the names, else the largest label plus one."""
        return len(self.class_names or ()) or 1 + max(int(data.labels.max()) for data in self.splits.values())


def read_source(source: str, root: Path, size: int | None) -> Imported:
    """Read a data set.

    Args:
        source: ``torchvision:SVHN``, ``medmnist:PathMNIST``, ``huggingface:USER/NAME``, ``folder:PATH``,
            ``arrays:PATH`` or ``idx:PATH``.
        root: Folder of data sets; a library downloads into a folder in it.
        size: Side to which pictures are scaled, by the shorter side, and cropped about their centre; None to keep
            their size, which must then be the same for all.

    Raises:
        DataError: If the source is unknown, cannot be read or downloaded, or has no train split.
    """
    kind, _, name = source.partition(":")
    if kind not in KINDS or not name:
        raise DataError(f"{source!r}: write KIND:NAME, such as torchvision:SVHN; kinds are {', '.join(KINDS)}")
    imported = KINDS[kind](name, root, size)
    if "train" not in imported.splits:
        raise DataError(f"{source}: has no train split; found {', '.join(imported.splits) or 'none'}")
    shapes = {data.images.shape[1:] for data in imported.splits.values()}
    if len(shapes) > 1:
        raise DataError(f"{source}: its splits have images of different shapes, {sorted(shapes)}; use --size")
    return imported


def write_npz(splits: dict[FileSplit, LabelledImages], path: Path) -> None:
    """Write splits to an .npz file, atomically.

    Raises:
        DataError: If it cannot be written.
    """
    arrays: dict[str, Any] = {}
    for split, data in splits.items():
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = data.images, data.labels
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _from_torchvision(name: str, root: Path, size: int | None) -> Imported:
    from torchvision import datasets

    dataset: Any = getattr(datasets, name, None)
    if not callable(dataset) or name.startswith("_") or name[0].islower():
        raise DataError(
            f"torchvision:{name}: torchvision.datasets has no such class; write it as there, such as SVHN"
        )
    parameters = inspect.signature(dataset).parameters
    if "train" in parameters:
        options: dict[FileSplit, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
    elif "split" in parameters:
        options = {"train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"}}
    else:
        raise DataError(f"torchvision:{name}: has neither `train` nor `split`; import it with `folder:`")
    splits: dict[FileSplit, LabelledImages] = {}
    names: Names = None
    for split, chosen in options.items():
        try:
            data: Any = dataset(str(root / "torchvision"), download=True, **chosen)
        except ValueError:
            if split == "validation":
                continue  # most have none
            raise DataError(f"torchvision:{name}: has no split {split!r} of images with one label") from None
        except Exception as error:  # a download fails in many ways
            raise DataError(f"torchvision:{name}: cannot be downloaded or read ({error})") from None
        splits[split] = _stacked(((image, label) for image, label in data), size, f"torchvision:{name}, {split}")
        names = tuple(getattr(data, "classes", None) or ()) or None
    return Imported(splits, names)


def _from_medmnist(name: str, root: Path, size: int | None) -> Imported:
    try:
        import medmnist
    except ImportError:
        raise DataError("medmnist: not installed; `pip install 'capbench[medmnist]'`") from None
    info = medmnist.INFO.get(name.lower())
    if info is None:
        raise DataError(f"medmnist:{name}: unknown; known are {', '.join(medmnist.INFO)}")
    if "multi-label" in info["task"]:
        raise DataError(f"medmnist:{name}: has several labels per image; contests need one")
    folder = root / "medmnist"
    folder.mkdir(parents=True, exist_ok=True)
    splits: dict[FileSplit, LabelledImages] = {}
    for split, theirs in MEDMNIST_SPLITS.items():
        try:
            data = getattr(medmnist, info["python_class"])(split=theirs, download=True, root=str(folder))
        except Exception as error:  # a download fails in many ways
            raise DataError(f"medmnist:{name}: cannot be downloaded or read ({error})") from None
        where = f"medmnist:{name}, {split}"
        if size is None:
            splits[split] = labelled(data.imgs, data.labels, where)
        else:
            pairs = zip(map(Image.fromarray, data.imgs), data.labels[:, 0], strict=True)
            splits[split] = _stacked(pairs, size, where)
    return Imported(splits, tuple(info["label"][str(label)] for label in range(len(info["label"]))))


def _from_huggingface(name: str, root: Path, size: int | None) -> Imported:
    try:
        from datasets import ClassLabel, load_dataset
        from datasets import Image as ImageFeature
    except ImportError:
        raise DataError("huggingface: not installed; `pip install 'capbench[huggingface]'`") from None
    try:
        content = load_dataset(name, cache_dir=str(root / "huggingface"))
    except Exception as error:  # a download fails in many ways
        raise DataError(f"huggingface:{name}: cannot be downloaded or read ({error})") from None
    features = next(iter(content.values())).features
    image = next((key for key, value in features.items() if isinstance(value, ImageFeature)), None)
    label = next((key for key, value in features.items() if isinstance(value, ClassLabel)), None)
    if image is None or label is None:
        raise DataError(
            f"huggingface:{name}: needs a column of images and one of class labels; has {list(features)}"
        )
    splits: dict[FileSplit, LabelledImages] = {}
    for split in FILE_SPLITS:
        if split in content:
            rows = ((row[image], row[label]) for row in content[split])
            splits[split] = _stacked(rows, size, f"huggingface:{name}, {split}")
    return Imported(splits, tuple(features[label].names))


def _from_folder(name: str, root: Path, size: int | None) -> Imported:
    if not Path(name).is_dir():
        raise DataError(f"folder:{name}: no such folder")
    folder = ImageFolder(Path(name), resize=size)
    return Imported(_present(folder), folder.names())


def _from_arrays(name: str, root: Path, size: int | None) -> Imported:
    if size is not None:
        raise DataError("--size: only pictures are resized; store arrays in their size")
    return Imported(_present(NpyFolder(Path(name))), None)


def _from_idx(name: str, root: Path, size: int | None) -> Imported:
    if size is not None:
        raise DataError("--size: only pictures are resized; store arrays in their size")
    splits: dict[FileSplit, LabelledImages] = {}
    for split, theirs in IDX_SPLITS.items():
        arrays = [_read_idx(Path(name), f"{theirs}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
        splits[split] = labelled(arrays[0], arrays[1], f"idx:{name}, {split}")
    return Imported(splits, None)


def _read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read one file in MNIST's format, gzipped or not."""
    plain, zipped = folder / name, folder / f"{name}.gz"
    path = plain if plain.exists() else zipped
    try:
        content = path.read_bytes()
        return parse_idx(content if path == plain else gzip.decompress(content))
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _present(files: SplitFiles) -> dict[FileSplit, LabelledImages]:
    return {split: files.read(split) for split in FILE_SPLITS if files.missing(split) is None}


def _stacked(pairs: Iterable[tuple[Any, Any]], size: int | None, where: str) -> LabelledImages:
    """Return pairs of a PIL image and a label as arrays.

    Raises:
        DataError: If an item is no picture with one label, or pictures have different sizes.
    """
    images, labels = [], []
    for image, label in pairs:
        if not isinstance(image, Image.Image) or not isinstance(label, int | np.integer):
            raise DataError(
                f"{where}: an item is {type(image).__name__} with {type(label).__name__}, not a picture"
            )
        picture = image if image.mode == "L" else image.convert("RGB")
        images.append(np.asarray(picture if size is None else resized(picture, size)))
        labels.append(int(label))
        if images[-1].shape != images[0].shape:
            raise DataError(f"{where}: pictures of {images[0].shape} and {images[-1].shape} pixels; give --size")
    if not images:
        raise DataError(f"{where}: there is no picture")
    return labelled(np.stack(images), np.array(labels), where)


KINDS: dict[str, Callable[[str, Path, int | None], Imported]] = {
    "torchvision": _from_torchvision,
    "medmnist": _from_medmnist,
    "huggingface": _from_huggingface,
    "folder": _from_folder,
    "arrays": _from_arrays,
    "idx": _from_idx,
}
