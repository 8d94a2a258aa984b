"""Fréchet distance of two sets of features: features to statistics, statistics to a number, and how sure it is.

With Inception's features this is the FID (Heusel et al. 2017, arXiv 1706.08500, equation 6).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

HALF_SAMPLES = 20
SIZES = 15  # as many as Chong & Forsyth take


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features, the covariance as a factor: Σ = rootᵀ · root (ddof = 1)."""

    mean: NDArray[np.float64]  # (D,)
    root: NDArray[np.float64]  # (min(N, D), D)
    n: int

    @property
    def trace(self) -> float:
        """Of the covariance."""
        return float(np.square(self.root).sum())


def gaussian_of(features: NDArray[np.floating]) -> Gaussian:
    """The statistics of (N, D) features, in float64; N is at least 2.

    The factor comes from a QR decomposition of the centred features, so that the covariance is never formed:
    its small eigenvalues keep their digits, and few features cost little.

    Raises:
        ValueError: If there are fewer than two features, or one is not finite.
    """
    if features.ndim != 2 or len(features) < 2 or not np.isfinite(features).all():
        raise ValueError(f"`features` is {features.shape}; it must be (N, D), N at least 2, all finite")
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = (values - mean) / np.sqrt(len(values) - 1)
    if len(values) > values.shape[1]:
        centred = scipy.linalg.qr(centred, mode="r", overwrite_a=True, check_finite=False)[0][: values.shape[1]]
    return Gaussian(mean, centred, len(values))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """‖μ₁ - μ₂‖² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½.

    The last trace is the sum of the singular values of root₁ · root₂ᵀ: real and at least 0 by construction,
    where a square root of the product needs repair when it is singular.
    """
    difference = one.mean - other.mean
    cross = one.root @ other.root.T
    singular = scipy.linalg.svdvals(cross, overwrite_a=True, check_finite=False)
    return float(difference @ difference + one.trace + other.trace - 2 * singular.sum())


def half_sample_deviation(features: NDArray[np.floating], reference: Gaussian, seed: int = 0) -> float:
    """Standard deviation of the distance of (N, D) ``features`` to ``reference``, over drawing other features.

    From 20 halves drawn without replacement (the delete-half jackknife, Shao & Wu 1989): their deviation is
    that of the whole, since a half varies twice as much and shares half of its images with the next. Drawing
    with replacement would not do: a repeated image lowers the rank, and the distance grows.
    """
    half = len(features) // 2
    rng = np.random.default_rng(seed)
    found = [
        frechet_distance(gaussian_of(features[rng.choice(len(features), half, replace=False)]), reference)
        for _ in range(HALF_SAMPLES)
    ]
    # half / (n - half) is 1 for even n.
    return float(np.std(found, ddof=1) * np.sqrt(half / (len(features) - half)))


def extrapolated_distance(features: NDArray[np.floating], reference: Gaussian, seed: int = 0) -> float:
    """The distance at infinitely many features: 15 sizes from N/5 to N, a line in 1/size, its intercept.

    The distance of a finite set is too large, by an amount that falls as 1/N (Chong & Forsyth 2020, arXiv
    1911.07023, section 3). What the finite ``reference`` adds stays.
    """
    n = len(features)
    rng = np.random.default_rng(seed)
    sizes = np.unique(np.linspace(max(2, n // 5), n, SIZES).round().astype(int))
    found = [
        frechet_distance(gaussian_of(features[rng.choice(n, size, replace=False)]), reference) for size in sizes
    ]
    if len(sizes) == 1:
        return found[0]
    _, intercept = np.polyfit(1 / sizes, found, 1)
    return float(intercept)
