"""The uncertainty of an accuracy due to a finite test set and to seeds, from the correctness of each image."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.spreads import LEVEL, spread


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and images, with its 95 % interval for new draws of both."""

    mean: float
    low: float
    high: float
    seeds: int
    images: int


def crossed_mean(values: NDArray[np.generic]) -> CrossedMean:
    """Return the mean of (n, N) values, n seeds by N images, and its interval.

    Seeds and images are crossed random effects: MS(seeds) + MS(images) - MS(residual) estimates n N times the
    variance of the mean, with Satterthwaite's degrees of freedom (Satterthwaite 1946). The estimate is not allowed
    to fall below MS(seeds) or MS(images). The values may also be differences of two networks on the same images
    and seeds.

    Raises:
        ValueError: For fewer than two seeds or images.
    """
    table = np.asarray(values, dtype=np.float64)
    n, images = table.shape
    if n < 2 or images < 2:
        raise ValueError(f"{n} seeds and {images} images; an interval needs at least 2 of each")
    from scipy.special import stdtrit

    by_seed, by_image = table.mean(axis=1), table.mean(axis=0)
    over_seeds = spread(by_seed.tolist())  # in the same way as the score of a table, to the last bit
    assert over_seeds is not None
    mean = over_seeds.mean
    residual = table - by_seed[:, None] - by_image + mean
    squares = np.array(
        [
            images * np.sum((by_seed - mean) ** 2) / (n - 1),
            n * np.sum((by_image - mean) ** 2) / (images - 1),
            np.sum(residual**2) / ((n - 1) * (images - 1)),
        ]
    )
    degrees = np.array([n - 1, images - 1, (n - 1) * (images - 1)])
    total = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    if total == 0:
        return CrossedMean(mean, mean, mean, n, images)
    freedom = total**2 / np.sum(squares**2 / degrees)
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * math.sqrt(total / (n * images))
    return CrossedMean(mean, mean - half, mean + half, n, images)


def mcnemar_p_value(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the p-value of "both networks have the same accuracy", by McNemar's exact test (McNemar 1947).

    Only images that exactly one network classifies correctly count: under the hypothesis each network has half of
    them (binomial, two-sided). The test does not cover the variation between seeds.

    Args:
        one: (N,) bool, correctness per image.
        other: (N,) bool, of the other network on the same images.
    """
    from scipy.special import bdtr

    only_one, only_other = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return min(1.0, 2 * float(bdtr(min(only_one, only_other), only_one + only_other, 0.5)))
