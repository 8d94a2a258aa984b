"""What a finite test set, besides the seeds, leaves open of an accuracy, from which images each run got right."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.spreads import LEVEL


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and images, and its 95 % interval over drawing both anew."""

    mean: float
    low: float
    high: float
    seeds: int
    images: int


def crossed_mean(values: NDArray[np.generic]) -> CrossedMean:
    """The mean of (n, N) values, n seeds by N images, as a sample from both.

    Seeds and images are crossed random effects: MS(seeds) + MS(images) - MS(rest) estimates n N times the variance
    of the mean, with Satterthwaite's degrees of freedom (Satterthwaite 1946), and is taken to be no less than
    either of the first two. Differences of two networks on the same images and seeds are such values too.

    Raises:
        ValueError: For fewer than two seeds or images.
    """
    table = np.asarray(values, dtype=np.float64)
    n, images = table.shape
    if n < 2 or images < 2:
        raise ValueError(f"{n} seeds and {images} images; an interval needs two of either")
    from scipy.special import stdtrit

    mean, by_seed, by_image = table.mean(), table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_image + mean
    squares = np.array(
        [
            images * np.sum((by_seed - mean) ** 2) / (n - 1),
            n * np.sum((by_image - mean) ** 2) / (images - 1),
            np.sum(rest**2) / ((n - 1) * (images - 1)),
        ]
    )
    degrees = np.array([n - 1, images - 1, (n - 1) * (images - 1)])
    total = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    if total == 0:
        return CrossedMean(float(mean), float(mean), float(mean), n, images)
    freedom = total**2 / np.sum(squares**2 / degrees)
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * math.sqrt(total / (n * images))
    return CrossedMean(float(mean), float(mean) - half, float(mean) + half, n, images)


def mcnemar_p_value(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """That two networks are right equally often, from the images on which just one is (McNemar 1947).

    The exact test: of these images each network has half but for chance (binomial, two-sided). It says nothing
    of what another seed would give.

    Args:
        one: (N,) whether it was right.
        other: (N,) likewise, on the same images.
    """
    from scipy.special import bdtr

    first, second = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return min(1.0, 2 * float(bdtr(min(first, second), first + second, 0.5)))
