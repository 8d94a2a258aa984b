"""The known data sets, and the readers of the formats in which an organiser's own may be stored.

A new format or data set is one entry of a table here, and a module that reads it (see ``split_files``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contract.datasets import DataSource, FileSplit, Format
from bench.data import addnist, cifar100, mnist
from bench.data.image_folder import ImageFolder
from bench.data.images import LabelledImages
from bench.data.npy_folder import NpyFolder
from bench.data.npz import NpzFiles
from bench.data.split_files import Published, SplitFiles, labelled


@dataclass(frozen=True)
class DatasetInfo:
    """Static information about a data set."""

    name: str
    title: str
    image_shape: tuple[int, int, int]
    num_classes: int
    how_to_get: str


@dataclass(frozen=True)
class KnownDataset:
    """A data set that tracks may name without describing it."""

    info: DatasetInfo
    files: Callable[[Path], SplitFiles]  # of the folder of data sets


def _folder(source: DataSource) -> ImageFolder:
    assert source.path is not None and source.channels is not None
    return ImageFolder(
        source.path,
        source.test_path,
        channels=source.channels,
        size=source.size,
        class_names=source.class_names,
    )


def _npz(source: DataSource) -> NpzFiles:
    assert source.path is not None
    return NpzFiles(source.path, source.test_path, source.normalised)


def _arrays(source: DataSource) -> NpyFolder:
    assert source.path is not None
    return NpyFolder(source.path, source.test_path, source.normalised)


FORMATS: dict[Format, Callable[[DataSource], SplitFiles]] = {"npz": _npz, "arrays": _arrays, "folder": _folder}


def _cifar100(root: Path) -> SplitFiles:
    folder = root / cifar100.FOLDER
    return Published(
        {"train": [folder / "train"], "test": [folder / "test"]}, lambda split: cifar100.read(root, split)
    )


def _addnist(root: Path) -> SplitFiles:
    names = {"train": "train", "validation": "valid", "test": "test"}
    paths = {
        split: [root / addnist.FOLDER / f"{name}_{kind}.npy" for kind in "xy"] for split, name in names.items()
    }
    return Published(paths, lambda split: addnist.read_published(root, names[split]))  # type: ignore[arg-type]


def _addnist_style(root: Path) -> SplitFiles:
    names = {"train": "train", "validation": "valid", "test": "test"}
    paths = {split: mnist.paths(root, "t10k" if split == "test" else "train") for split in names}
    return Published(paths, lambda split: addnist.build(root, names[split]))  # type: ignore[arg-type]


def _mnist(root: Path) -> SplitFiles:
    names = {"train": "train", "test": "t10k"}

    def read(split: FileSplit) -> LabelledImages:
        images, digits = mnist.read(root, names[split])
        return labelled(images, digits, f"mnist, {split}")

    return Published({split: mnist.paths(root, name) for split, name in names.items()}, read)  # type: ignore[misc]


_OFFICIAL = (
    KnownDataset(
        DatasetInfo(
            "cifar100",
            "CIFAR-100, 50,000 + 10,000 photographs of 100 classes",
            (3, 32, 32),
            100,
            f"`bench data fetch cifar100` downloads it (169 MB), or run `bench data unpack FOLDER` on a folder "
            f"with {cifar100.ARCHIVE}",
        ),
        _cifar100,
    ),
    KnownDataset(
        DatasetInfo(
            "addnist",
            "AddNIST as published, 45,000 + 15,000 + 10,000 images of 20 classes",
            (3, 28, 28),
            20,
            "download {train,valid,test}_{x,y}.npy from DOI 10.25405/data.ncl.24574354 and run "
            "`bench data unpack FOLDER`, or `bench data fetch mnist`, enough for the AddNIST-style data set",
        ),
        _addnist,
    ),
    KnownDataset(
        DatasetInfo(
            "addnist-style",
            "AddNIST-style, built here from MNIST with a fixed seed",
            (3, 28, 28),
            20,
            "`bench data fetch mnist` downloads the MNIST files (12 MB) from which it is built",
        ),
        _addnist_style,
    ),
    KnownDataset(
        DatasetInfo(
            "mnist",
            "MNIST, 60,000 + 10,000 grey digits",
            (1, 28, 28),
            10,
            "`bench data fetch mnist` downloads it (12 MB)",
        ),
        _mnist,
    ),
)

# Name -> title, channels, size, classes, and the source of `bench data import`. `bench data fetch NAME` writes
# NAME.npz into the folder of data sets.
_CONVERTED = {
    "cifar10": ("CIFAR-10, 50,000 + 10,000 photographs", 3, 32, 10, "torchvision:CIFAR10"),
    "fashion-mnist": (
        "Fashion-MNIST, 60,000 + 10,000 grey clothes",
        1,
        28,
        10,
        "torchvision:FashionMNIST",
    ),
    "kmnist": ("Kuzushiji-MNIST, 60,000 + 10,000 grey characters", 1, 28, 10, "torchvision:KMNIST"),
    "svhn": ("SVHN, 73,257 + 26,032 photographs of house numbers", 3, 32, 10, "torchvision:SVHN"),
    "pathmnist": ("PathMNIST, colon pathology", 3, 28, 9, "medmnist:pathmnist"),
    "dermamnist": ("DermaMNIST, skin lesions", 3, 28, 7, "medmnist:dermamnist"),
    "octmnist": ("OCTMNIST, retinal OCT", 1, 28, 4, "medmnist:octmnist"),
    "pneumoniamnist": ("PneumoniaMNIST, chest X-rays", 1, 28, 2, "medmnist:pneumoniamnist"),
    "retinamnist": ("RetinaMNIST, fundus photographs", 3, 28, 5, "medmnist:retinamnist"),
    "breastmnist": ("BreastMNIST, breast ultrasound", 1, 28, 2, "medmnist:breastmnist"),
    "bloodmnist": ("BloodMNIST, blood cells", 3, 28, 8, "medmnist:bloodmnist"),
    "tissuemnist": ("TissueMNIST, kidney cortex", 1, 28, 8, "medmnist:tissuemnist"),
    "organamnist": ("OrganAMNIST, abdominal CT, axial", 1, 28, 11, "medmnist:organamnist"),
    "organcmnist": ("OrganCMNIST, abdominal CT, coronal", 1, 28, 11, "medmnist:organcmnist"),
    "organsmnist": ("OrganSMNIST, abdominal CT, sagittal", 1, 28, 11, "medmnist:organsmnist"),
}


def _converted(name: str) -> KnownDataset:
    title, channels, size, classes, _ = _CONVERTED[name]
    how = f"`bench data fetch {name}` downloads it and writes {name}.npz"
    info = DatasetInfo(name, title, (channels, size, size), classes, how)
    return KnownDataset(info, lambda root: NpzFiles(root / f"{name}.npz"))


IMPORTED_FROM = {name: entry[-1] for name, entry in _CONVERTED.items()}
KNOWN = {known.info.name: known for known in (*_OFFICIAL, *map(_converted, _CONVERTED))}
