"""AddNIST: three MNIST digits in the three channels; the class is their sum minus one, 0 to 19.

Geada et al. 2024, "Insights from the use of previously unseen neural architecture search datasets" (CVPR 2024,
arXiv 2404.02189), data DOI 10.25405/data.ncl.24574354. This module reads the published arrays. It can also
build a data set in the same style from MNIST, which has another name because the published generator has no seed.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.datasets import Normalisation
from bench.data import mnist
from bench.data.images import LabelledImages
from bench.data.split_files import to_bytes
from bench.errors import DataError
from bench.seeding import derive_seed

FOLDER = "addnist"
CLASSES = 20
IMAGES = {"train": 45_000, "valid": 15_000, "test": 10_000}
TEST_SHA256 = "c6d8ee91c5c1fcccb0f7ed7ab91e14c02095bf14d85f0acb9e493777bb872ef1"  # of the published test_x.npy
NORMALISATION = Normalisation(mean=(0.1307,), std=(0.3081,))  # of the published arrays


def read_published(root: Path, split: str) -> LabelledImages:
    """Read the published ``train``, ``valid`` or ``test`` arrays and convert them back to bytes, exactly.

    Raises:
        DataError: If a file is missing or damaged, or its values are not normalised bytes.
    """
    path = root / FOLDER / f"{split}_x.npy"
    try:
        normalised = np.load(path, allow_pickle=False, mmap_mode="r")
        labels = np.load(path.with_name(f"{split}_y.npy"), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); see `bench data list`") from None
    count = IMAGES[split]
    if normalised.shape != (count, 3, 28, 28) or labels.shape != (count,):
        raise DataError(
            f"{path}: {normalised.shape} with labels {labels.shape}; expected {(count, 3, 28, 28)} and {(count,)}"
        )
    if not (np.issubdtype(labels.dtype, np.integer) and labels.min() >= 0 and labels.max() < CLASSES):
        raise DataError(f"{path.with_name(f'{split}_y.npy')}: labels must be integers from 0 to {CLASSES - 1}")
    return LabelledImages(to_bytes(normalised, NORMALISATION, path), labels.astype(np.int64))


def build(root: Path, split: str) -> LabelledImages:
    """Build an AddNIST-style ``train``, ``valid`` or ``test`` set from MNIST, identical on every machine.

    Classes are balanced: 3,000 images per class in train and valid together, 500 in test. The digits of an image
    are drawn uniformly from the class's ordered triples. The images of these digits are drawn uniformly from MNIST
    (from its train split for train and valid, from its test split for test). No image occurs twice, whereas the
    published recipe draws with replacement.

    Raises:
        DataError: If MNIST is missing or damaged.
    """
    images, digits = mnist.read(root, "t10k" if split == "test" else "train")
    per_class = 500 if split == "test" else 3_000
    chosen, labels = _draw_triples(digits, per_class, "test" if split == "test" else "train")
    if split != "test":
        rows = slice(0, IMAGES["train"]) if split == "train" else slice(IMAGES["train"], None)
        chosen, labels = chosen[rows], labels[rows]
    return LabelledImages(np.ascontiguousarray(images[chosen]), labels)


def triples_of(label: int) -> NDArray[np.int64]:
    """Return the ordered digit triples (r, g, b) with r + g + b = label + 1; (T, 3)."""
    grid = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    triples: NDArray[np.int64] = grid[grid.sum(axis=1) == label + 1]
    return triples


def _draw_triples(
    digits: NDArray[np.uint8], per_class: int, purpose: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw distinct triples of digit images in random order.

    Returns:
        Indices of digit images, (20 · per_class, 3), and the labels, (20 · per_class,).
    """
    generator = np.random.Generator(np.random.PCG64(derive_seed(0, "addnist-style", purpose)))
    pools = [np.flatnonzero(digits == digit) for digit in range(10)]
    rows: list[NDArray[np.int64]] = []
    for label in range(CLASSES):
        triples = triples_of(label)
        # 200 extra triples, so that enough are left after the rare duplicates are dropped.
        picked = triples[generator.integers(len(triples), size=per_class + 200)]
        drawn = np.empty_like(picked)
        for digit, pool in enumerate(pools):
            matches = picked == digit
            drawn[matches] = pool[generator.integers(len(pool), size=int(matches.sum()))]
        _, first = np.unique(drawn, axis=0, return_index=True)
        rows.append(drawn[np.sort(first)[:per_class]])
    chosen = np.concatenate(rows)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int64), per_class)
    order = generator.permutation(len(chosen))
    return chosen[order], labels[order]
