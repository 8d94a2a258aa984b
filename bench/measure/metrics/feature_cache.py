"""A content-addressed cache of image features on disk, so that no network processes the same images twice."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.files import atomic_path

BLOCK = 250  # images per file; an interruption loses at most this many


def cached_features(
    extract: Callable[[Tensor], Tensor],
    identity: str,
    images: NDArray[np.uint8],
    folder: Path,
    *,
    batch_size: int = 25,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return the features of ``images``; compute only those that are not in the cache.

    Args:
        extract: Maps (B, C, H, W) uint8 to (B, D) float32; each row must depend only on its image.
        identity: A string that determines everything besides the images that the features depend on.
        images: (N, C, H, W) uint8.
        folder: The cache, with one file per block of 250 images, named by the hash of the images and ``identity``.
            A block that cannot be read is computed; a block that cannot be written is not cached.
        batch_size: Images per call of ``extract``.
        on_progress: Called after each batch or cached block with the number of finished images and N.

    Returns:
        (N, D) float32, in the order of ``images``.
    """
    parts = []
    for start in range(0, len(images), BLOCK):
        block = np.ascontiguousarray(images[start : start + BLOCK])
        path = folder / f"{_hash(block, identity)}.npy"
        features = _read(path, len(block))
        if features is None:
            batches = []
            for batch in torch.from_numpy(block).split(batch_size):
                batches.append(extract(batch).cpu())
                if on_progress is not None:
                    on_progress(start + sum(map(len, batches)), len(images))
            features = torch.cat(batches).numpy()
            _write(path, features)
        elif on_progress is not None:
            on_progress(start + len(block), len(images))
        parts.append(features)
    return np.concatenate(parts)


def _hash(block: NDArray[np.uint8], identity: str) -> str:
    sha = hashlib.sha256(f"{identity} {block.shape}\n".encode())
    sha.update(block.tobytes())
    return sha.hexdigest()


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    try:
        features: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    valid = features.ndim == 2 and len(features) == count and features.dtype == np.float32
    return features if valid and bool(np.isfinite(features).all()) else None


def _write(path: Path, features: NDArray[np.float32]) -> None:
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.save(file, features, allow_pickle=False)
    except OSError:
        pass  # without a cache the features are still returned


def cached_array(compute: Callable[[], NDArray[np.float32]], identity: str, folder: Path) -> NDArray[np.float32]:
    """Return a small array, (N,) float32, from the cache in ``folder`` by its ``identity``, or compute it."""
    path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        cached: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return cached
    array = compute()
    _write(path, array)
    return array


def hash_images(images: NDArray[np.uint8]) -> str:
    """Return the sha256 of images and their shape."""
    return _hash(images, "")
