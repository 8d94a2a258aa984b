"""Kernel Inception distance (KID): the squared maximum mean discrepancy of features under a cubic kernel.

Bińkowski et al. 2018, arXiv 1801.01401, section 3. The unbiased estimate and its random subsets are the same as in
torch-fidelity.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020  # torch-fidelity's


@dataclass(frozen=True)
class KernelDistance:
    """Mean and population standard deviation over subsets; the mean can be below 0 for similar sets."""

    mean: float
    std: float
    subset_size: int


def subset_size(samples: int, references: int) -> int:
    """Return the images per subset: 1,000, or half of the smaller set if that is less, so that subsets differ."""
    return max(2, min(SUBSET_SIZE, samples // 2, references // 2))


def kernel_distance(
    features: NDArray[np.float32],
    reference: NDArray[np.float32],
    *,
    size: int,
    subsets: int = SUBSETS,
    device: str = "cpu",
) -> KernelDistance:
    """Compute the KID of (N, D) ``features`` and (M, D) ``reference``.

    It is averaged over ``subsets`` pairs of random subsets of ``size`` rows. Kernels are float32, on ``device``;
    their sums are float64.

    Raises:
        ValueError: If a set has fewer than ``size`` rows, or ``size`` is below 2.
    """
    if not 2 <= size <= min(len(features), len(reference)):
        raise ValueError(f"`size` is {size}; it must be between 2 and {min(len(features), len(reference))}")
    rng = np.random.RandomState(SEED)
    sets = [torch.from_numpy(values).to(device) for values in (features, reference)]
    estimates = []
    for _ in range(subsets):
        # The order of the two draws is that of torch-fidelity.
        subset_rows = [torch.from_numpy(rng.choice(len(values), size, replace=False)) for values in sets]
        x, y = (values[rows.to(device)] for values, rows in zip(sets, subset_rows, strict=True))
        within = _off_diagonal_sum(_kernel(x, x)) + _off_diagonal_sum(_kernel(y, y))
        between = _kernel(x, y).sum(dtype=torch.float64).item()
        estimates.append(within / (size * (size - 1)) - 2 * between / size**2)
    return KernelDistance(float(np.mean(estimates)), float(np.std(estimates)), size)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _off_diagonal_sum(kernel: Tensor) -> float:
    return (kernel.sum(dtype=torch.float64) - kernel.diagonal().sum(dtype=torch.float64)).item()
