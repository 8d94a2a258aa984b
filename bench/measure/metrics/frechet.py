"""Fréchet distance between two sets of features: statistics, distance, standard error, extrapolation.

With Inception's features this is the FID (Heusel et al. 2017, arXiv 1706.08500, equation 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALF_SAMPLES = 20
SIZES = 15  # as in Chong & Forsyth


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features; the covariance as a factor: Σ = rootᵀ · root (ddof = 1)."""

    mean: Tensor  # (D,) float64
    root: Tensor  # (min(N, D), D) float64, on the same device
    n: int

    @property
    def trace(self) -> float:
        """The trace of the covariance."""
        return self.root.square().sum().item()


def gaussian_of(features: NDArray[np.floating], device: str = "cpu") -> Gaussian:
    """Compute mean and covariance factor of (N, D) features in float64.

    The factor comes from a QR decomposition of the centred features; the covariance is never formed. This keeps
    the precision of small eigenvalues, and is cheap for few features.

    Args:
        features: (N, D) on the host, N at least 2.
        device: Where to compute and store the statistics.

    Raises:
        ValueError: If there are fewer than two features, or a value is not finite.
    """
    if features.ndim != 2 or len(features) < 2 or not np.isfinite(features).all():
        raise ValueError(f"`features` is {features.shape}; it must be (N, D), N at least 2, all finite")
    return _gaussian_of(torch.from_numpy(features).to(device))


def _gaussian_of(features: Tensor) -> Gaussian:
    values = features.double()
    mean = values.mean(dim=0)
    centred = (values - mean) / (len(values) - 1) ** 0.5
    if len(values) > values.shape[1]:
        centred = torch.linalg.qr(centred, mode="r").R
    return Gaussian(mean, centred, len(values))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Compute the Fréchet distance ‖μ₁ - μ₂‖² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½.

    The last trace is computed as the sum of the singular values of root₁ · root₂ᵀ, which is real and at least 0 by
    construction. A matrix square root of Σ₁ Σ₂ would need a correction if the product is singular.
    """
    difference = one.mean - other.mean
    cross = one.root @ other.root.T
    return (difference @ difference).item() + one.trace + other.trace - 2 * nuclear_norm(cross)


def nuclear_norm(matrix: Tensor, *, by_eigenvalues: bool | None = None) -> float:
    """Compute the sum of the singular values of a matrix.

    Args:
        matrix: (N, M) float64.
        by_eigenvalues: Whether to take the square roots of the eigenvalues of matrix · matrixᵀ. This loses half of
            the digits of the smallest singular values, but only the last digits of the sum. None means: on a GPU
            only, where a singular value decomposition takes many times as long.
    """
    if matrix.is_cuda if by_eigenvalues is None else by_eigenvalues:
        wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        return float(torch.linalg.eigvalsh(wide @ wide.T).clamp_min(0).sqrt().sum())
    return float(torch.linalg.svdvals(matrix).sum())


def half_sample_deviation(features: NDArray[np.floating], reference: Gaussian, seed: int = 0) -> float:
    """Estimate the standard deviation of the distance of (N, D) ``features`` to ``reference`` over new samples.

    The estimate comes from 20 halves drawn without replacement (delete-half jackknife, Shao & Wu 1989). The
    deviation between halves equals that of the full set: a half has twice the variance, but two halves share half
    of their images. Sampling with replacement is biased: repeated images lower the rank, and the distance grows.

    It is computed on the device of ``reference``.
    """
    half = len(features) // 2
    distances = _distances(features, reference, [half] * HALF_SAMPLES, seed)
    # half / (n - half) is 1 for even n.
    return float(np.std(distances, ddof=1) * np.sqrt(half / (len(features) - half)))


def extrapolated_distance(features: NDArray[np.floating], reference: Gaussian, seed: int = 0) -> float:
    """Extrapolate the distance to infinitely many features: the intercept of a line in 1/size.

    The distance of a finite set has a positive bias proportional to 1/N (Chong & Forsyth 2020, arXiv 1911.07023,
    section 3). The line is fitted to 15 sizes from N/5 to N. The bias from the finite ``reference`` remains.
    """
    n = len(features)
    sizes = np.unique(np.linspace(max(2, n // 5), n, SIZES).round().astype(int))
    distances = _distances(features, reference, sizes.tolist(), seed)
    if len(sizes) == 1:
        return distances[0]
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def _distances(
    features: NDArray[np.floating], reference: Gaussian, sizes: Sequence[int], seed: int
) -> list[float]:
    """Return the distances of random subsets of ``features``, one per size, drawn without replacement."""
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(features).to(reference.mean.device)
    subsets = (torch.from_numpy(rng.choice(len(features), size, replace=False)) for size in sizes)
    return [frechet_distance(_gaussian_of(values[rows.to(values.device)]), reference) for rows in subsets]
