"""Weights of the metric networks: their files, paths and digests.

``bench fetch`` downloads them (``fetch_weights``). They are stored as safetensors and identified by a digest of
their tensors, which is the same for every source archive. This module does not import torch.
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

    name: str  # shown by `bench fetch` and in messages
    title: str
    package: str  # the Python package that defines the network
    digest: str  # of the tensors, from `digest_of`

    @property
    def path(self) -> Path:
        """The path of the downloaded file."""
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
    """Return the folder of weights and of reference images' features: $BENCH_WEIGHTS, else the user's cache."""
    configured = os.environ.get("BENCH_WEIGHTS")
    return Path(configured) if configured else cache_folder() / "weights"


def digest_of(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the sha256 of names, dtypes, shapes and values, independent of order and file format."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        sha.update(np.ascontiguousarray(tensor).tobytes())
    return sha.hexdigest()


def missing(*required: Weights) -> str | None:
    """Return None if all ``required`` weights are present; else one line with the missing items and the remedy.

    The files' integrity is checked by ``read``.
    """
    packages = sorted({item.package for item in required if importlib.util.find_spec(item.package) is None})
    if packages:
        return f"{', '.join(packages)} not installed; run `pip install 'capbench[generative]'`"
    absent = [item.name for item in required if not item.path.exists()]
    if absent:
        return f"weights {', '.join(absent)} not in $BENCH_WEIGHTS or the cache; `bench fetch all` downloads them"
    return None


def read(weights: Weights) -> dict[str, NDArray[Any]]:
    """Read the tensors and check their digest.

    Raises:
        DataError: If the file is absent or damaged, or has another digest.
    """
    try:
        tensors = load_file(weights.path)
    except FileNotFoundError:
        raise DataError(f"{weights.path.name}: not found; `bench fetch all` downloads it") from None
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{weights.path.name}: cannot be read ({error}); delete it and run `bench fetch all`"
        ) from None
    if digest_of(tensors) != weights.digest:
        raise DataError(
            f"{weights.path.name}: its tensors have sha256 {digest_of(tensors)[:12]}…, expected "
            f"{weights.digest[:12]}…; delete it and run `bench fetch all`"
        )
    return tensors
