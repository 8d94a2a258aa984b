"""Labelled images as arrays, and subsets, fingerprints and statistics of them."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

# Never change this text: it determines all validation splits, and so all results on them.
_SPLIT_SALT = "capbench-validation-1"
_SUBSET_SALT = "capbench-subset-1"  # likewise, of all training subsets


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Raises:
        ValueError: If shapes or dtypes are wrong.
    """

    images: NDArray[np.uint8]  # (N, C, H, W), C-contiguous
    labels: NDArray[np.int64]  # (N,)

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(f"`images` is {self.images.shape} {self.images.dtype}; it must be (N, C, H, W) uint8")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise ValueError(f"`labels` is {self.labels.shape} {self.labels.dtype}; it must be (N,) int64")
        if not self.images.flags.c_contiguous:
            raise ValueError("`images` must be C-contiguous")

    def subset(self, mask: NDArray[np.bool_]) -> "LabelledImages":
        """Return the images where ``mask``, (N,), is True."""
        return LabelledImages(self.images[mask], self.labels[mask])

    def grey(self) -> "LabelledImages":
        """Return the images with one channel, the luma of ITU-R BT.601 like PIL's mode L."""
        luma = self.images.astype(np.uint32) * np.array([19595, 38470, 7471], np.uint32)[:, None, None]
        return LabelledImages(((luma.sum(axis=1, keepdims=True) + 0x8000) >> 16).astype(np.uint8), self.labels)

    def stratified(self, count: int | None) -> "LabelledImages":
        """Return ``count`` images, the same fraction of every class, identical on every machine; all for None.

        Raises:
            DataError: If there are fewer than ``count`` images.
        """
        if count is None:
            return self
        if count > len(self.labels):
            raise DataError(f"`train_images` is {count:,}, but there are {len(self.labels):,}")
        return self.subset(stratified_choice(self.labels, count))

    def balanced(self, count: int | None) -> "LabelledImages":
        """Return ``count`` images, balanced over classes as far as class sizes allow; all for None."""
        return self if count is None else self.subset(self.balanced_choice(count))

    def balanced_choice(self, count: int) -> NDArray[np.bool_]:
        """Return the (N,) mask of the images of ``balanced``, which are evenly spaced in each class."""
        if count >= len(self.labels):
            return np.ones(len(self.labels), bool)
        classes, sizes = np.unique(self.labels, return_counts=True)
        shares = np.zeros(len(classes), int)
        # If a class is too small for its share, larger classes get the remainder.
        while (remaining := count - shares.sum()) > 0:
            open_classes = np.flatnonzero(shares < sizes)[:remaining]
            increment = max(1, remaining // len(open_classes))
            shares[open_classes] += np.minimum(increment, sizes[open_classes] - shares[open_classes])
        mask = np.zeros(len(self.labels), bool)
        for label, share in zip(classes, shares, strict=True):
            members = np.flatnonzero(self.labels == label)
            mask[members[np.arange(share) * len(members) // max(1, share)]] = True
        return mask

    def evenly_spread(self, count: int | None) -> "LabelledImages":
        """Return ``count`` evenly spaced images, so that a set sorted by class gives all classes; all for None."""
        if count is None or count >= len(self.labels):
            return self
        return self.subset(evenly_chosen(len(self.labels), count))


def evenly_chosen(total: int, count: int | None) -> NDArray[np.bool_]:
    """Return a (total,) mask with ``count`` evenly spaced True values; all True for None."""
    mask = np.zeros(total, bool)
    mask[np.arange(count or total) * total // (count or total)] = True
    return mask


def fingerprint(data: LabelledImages) -> str:
    """Return the sha256 of shape, images and labels in hex, which identifies a data set in a record."""
    digest = hashlib.sha256(repr(data.images.shape).encode())
    digest.update(data.images.data)
    digest.update(np.ascontiguousarray(data.labels, dtype="<i8").data)
    return digest.hexdigest()


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and population standard deviation of each channel, of images scaled to [0, 1].

    They are computed from a histogram of the 256 values, which avoids the rounding errors of a long sum of floats.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        The C means and the C standard deviations.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.bincount(images[:, channel].ravel(), minlength=256)
        mean = float(np.average(values, weights=counts))
        means.append(mean)
        stds.append(float(np.sqrt(np.average((values - mean) ** 2, weights=counts))))
    return tuple(means), tuple(stds)


def stratified_validation(labels: NDArray[np.int64], fraction: float) -> NDArray[np.bool_]:
    """Select a validation split with the same fraction of every class, identical on every machine.

    In each class, the images with the smallest sha256 of their index are selected, so that the split does not
    depend on the random generator of a library version.

    Args:
        labels: (N,) classes.
        fraction: Fraction of each class, in (0, 1); the number of images is rounded.

    Returns:
        (N,) bool, True for validation images.
    """
    mask = np.zeros(len(labels), dtype=bool)
    for members in _shuffled_classes(labels, _SPLIT_SALT):
        mask[members[: round(fraction * len(members))]] = True
    return mask


def stratified_choice(labels: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Select ``count`` images with the same fraction of every class, identical on every machine.

    Classes get their share rounded down; the remaining images go to the classes with the largest remainders.

    Args:
        labels: (N,) classes.
        count: Number of images, at most N.

    Returns:
        (N,) bool, True for selected images.
    """
    classes = _shuffled_classes(labels, _SUBSET_SALT)
    sizes = np.array([len(members) for members in classes])
    shares = sizes * count // len(labels)
    remainders = sizes * count % len(labels)
    shares[np.argsort(-remainders, kind="stable")[: count - shares.sum()]] += 1
    mask = np.zeros(len(labels), dtype=bool)
    for members, share in zip(classes, shares, strict=True):
        mask[members[:share]] = True
    return mask


def _shuffled_classes(labels: NDArray[np.int64], salt: str) -> list[list[int]]:
    """Return the indices of each class's images, in label order, sorted by the sha256 of salt and index."""
    ranks = [hashlib.sha256(f"{salt}|{index}".encode()).digest() for index in range(len(labels))]
    return [
        sorted(np.flatnonzero(labels == label).tolist(), key=lambda index: ranks[index])
        for label in np.unique(labels)
    ]


def overlap(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the mask of the ``test`` images that are byte-identical to a ``train`` image.

    Args:
        train: (N, C, H, W) uint8.
        test: (M, C, H, W) uint8.

    Returns:
        (M,) bool.
    """
    train_bytes = {image.tobytes() for image in train}
    return np.array([image.tobytes() in train_bytes for image in test], dtype=bool)


def distinct(images: NDArray[np.uint8]) -> int:
    """Count the distinct images."""
    return len({image.tobytes() for image in images})
