"""Labelled images as arrays, and what can be told of a set of them."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Frozen: a change of this text changes every validation split, and with it every number measured on one.
_SPLIT_SALT = "capbench-validation-1"


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Raises:
        ValueError: If shapes or dtypes are not as said.
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

    def subset(self, chosen: NDArray[np.bool_]) -> "LabelledImages":
        """The images where ``chosen``, (N,), is true."""
        return LabelledImages(self.images[chosen], self.labels[chosen])

    def balanced(self, count: int | None) -> "LabelledImages":
        """``count`` images, as many of each class as of any other, so far as there are; all for None."""
        return self if count is None else self.subset(self.balanced_choice(count))

    def balanced_choice(self, count: int) -> NDArray[np.bool_]:
        """Which images ``balanced`` takes, (N,): of each class at equal distances, all in their order."""
        if count >= len(self.labels):
            return np.ones(len(self.labels), bool)
        classes, sizes = np.unique(self.labels, return_counts=True)
        shares = np.zeros(len(classes), int)
        while (left := count - shares.sum()) > 0:  # what a small class lacks the others give
            able = np.flatnonzero(shares < sizes)[:left]
            shares[able] += np.minimum(max(1, left // len(able)), sizes[able] - shares[able])
        chosen = np.zeros(len(self.labels), bool)
        for label, share in zip(classes, shares, strict=True):
            own = np.flatnonzero(self.labels == label)
            chosen[own[np.arange(share) * len(own) // max(1, share)]] = True
        return chosen

    def evenly_spread(self, count: int | None) -> "LabelledImages":
        """``count`` images at equal distances, so that classes are mixed whatever the order; all for None."""
        if count is None or count >= len(self.labels):
            return self
        return self.subset(evenly_chosen(len(self.labels), count))


def evenly_chosen(total: int, count: int | None) -> NDArray[np.bool_]:
    """(total,): ``count`` of them at equal distances; all for None."""
    chosen = np.zeros(total, bool)
    chosen[np.arange(count or total) * total // (count or total)] = True
    return chosen


def fingerprint(data: LabelledImages) -> str:
    """The sha256 of shape, images and labels, in hex: the identity of a data set in a record."""
    digest = hashlib.sha256(repr(data.images.shape).encode())
    digest.update(data.images.data)
    digest.update(np.ascontiguousarray(data.labels, dtype="<i8").data)
    return digest.hexdigest()


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation of each channel, of images scaled to [0, 1].

    Exact: taken from a histogram of the 256 values, not from a sum of floats.

    Args:
        images: (N, C, H, W) uint8.
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
    """Which images are validation: the same on every machine, and of every class the same share.

    Within a class those with the smallest sha256 of their index, so that no library's random generator, and
    no version of one, has a say.

    Args:
        labels: (N,) classes.
        fraction: Share of each class, in (0, 1); its number of images is rounded.

    Returns:
        (N,) bool.
    """
    ranks = [hashlib.sha256(f"{_SPLIT_SALT}|{index}".encode()).digest() for index in range(len(labels))]
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=lambda index: ranks[index])
        chosen[members[: round(fraction * len(members))]] = True
    return chosen


def overlap(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of ``test`` occur byte for byte in ``train``; both (N, C, H, W) uint8."""
    known = {image.tobytes() for image in train}
    return np.array([image.tobytes() in known for image in test], dtype=bool)


def distinct(images: NDArray[np.uint8]) -> int:
    """How many different images there are."""
    return len({image.tobytes() for image in images})
