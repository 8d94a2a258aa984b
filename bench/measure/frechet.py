"""Fréchet distance of two sets of features: features to statistics, statistics to a number, and how sure it is.

With Inception's features this is the FID (Heusel et al. 2017, arXiv 1706.08500, equation 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALF_SAMPLES = 20
SIZES = 15  # as many as Chong & Forsyth take


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features, the covariance as a factor: Σ = rootᵀ · root (ddof = 1)."""

    mean: Tensor  # (D,) float64
    root: Tensor  # (min(N, D), D) float64, on the same device
    n: int

    @property
    def trace(self) -> float:
        """Of the covariance."""
        return self.root.square().sum().item()


def gaussian_of(features: NDArray[np.floating], device: str = "cpu") -> Gaussian:
    """The statistics of (N, D) features, in float64; N is at least 2.

    The factor comes from a QR decomposition of the centred features, so that the covariance is never formed:
    its small eigenvalues keep their digits, and few features cost little.

    Args:
        features: On the host.
        device: Computes the statistics, and holds them.

    Raises:
        ValueError: If there are fewer than two features, or one is not finite.
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
    """‖μ₁ - μ₂‖² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½.

    The last trace is the sum of the singular values of root₁ · root₂ᵀ: real and at least 0 by construction,
    where a square root of the product needs repair when it is singular.
    """
    difference = one.mean - other.mean
    cross = one.root @ other.root.T
    return (difference @ difference).item() + one.trace + other.trace - 2 * nuclear_norm(cross)


def nuclear_norm(matrix: Tensor, *, by_eigenvalues: bool | None = None) -> float:
    """The sum of the singular values of an (N, M) float64 matrix.

    Args:
        matrix: Any.
        by_eigenvalues: Take the roots of the eigenvalues of the matrix times its transpose, which loses half of
            the digits of the smallest singular values, and of the sum only its last ones. None to do so on a
            GPU, where singular values take many times as long.
    """
    if matrix.is_cuda if by_eigenvalues is None else by_eigenvalues:
        wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        return float(torch.linalg.eigvalsh(wide @ wide.T).clamp_min(0).sqrt().sum())
    return float(torch.linalg.svdvals(matrix).sum())


def half_sample_deviation(features: NDArray[np.floating], reference: Gaussian, seed: int = 0) -> float:
    """Standard deviation of the distance of (N, D) ``features`` to ``reference``, over drawing other features.

    It is computed where ``reference`` lies.

    From 20 halves drawn without replacement (the delete-half jackknife, Shao & Wu 1989): their deviation is
    that of the whole, since a half varies twice as much and shares half of its images with the next. Drawing
    with replacement would not do: a repeated image lowers the rank, and the distance grows.
    """
    half = len(features) // 2
    found = _distances(features, reference, [half] * HALF_SAMPLES, seed)
    # half / (n - half) is 1 for even n.
    return float(np.std(found, ddof=1) * np.sqrt(half / (len(features) - half)))


def extrapolated_distance(features: NDArray[np.floating], reference: Gaussian, seed: int = 0) -> float:
    """The distance at infinitely many features: 15 sizes from N/5 to N, a line in 1/size, its intercept.

    The distance of a finite set is too large, by an amount that falls as 1/N (Chong & Forsyth 2020, arXiv
    1911.07023, section 3). What the finite ``reference`` adds stays.
    """
    n = len(features)
    sizes = np.unique(np.linspace(max(2, n // 5), n, SIZES).round().astype(int))
    found = _distances(features, reference, sizes.tolist(), seed)
    if len(sizes) == 1:
        return found[0]
    _, intercept = np.polyfit(1 / sizes, found, 1)
    return float(intercept)


def _distances(
    features: NDArray[np.floating], reference: Gaussian, sizes: Sequence[int], seed: int
) -> list[float]:
    """Of random parts of ``features``, each drawn without replacement, of these sizes."""
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(features).to(reference.mean.device)
    parts = (torch.from_numpy(rng.choice(len(features), size, replace=False)) for size in sizes)
    return [frechet_distance(_gaussian_of(values[part.to(values.device)]), reference) for part in parts]
