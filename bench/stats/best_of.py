"""The best of several runs: its expected value and its prediction interval, estimated from a few runs.

Runs are assumed to be independent and normally distributed. "Best" means the largest value here; if lower is
better, negate the values.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

QUADRATURE = 2000


@lru_cache
def expected_best(k: int) -> float:
    """Return the expected maximum of ``k`` standard normal values: ∫ x k φ(x) Φ(x)^(k-1) dx."""
    if k == 1:
        return 0.0
    from scipy.special import ndtr

    x = np.linspace(-12, 12, 24 * 100 + 1)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return float(np.sum(x * k * density * ndtr(x) ** (k - 1)) / 100)


def estimated_deviations(freedom: float) -> NDArray[np.float64]:
    """Return 2,000 equally likely ratios of an estimated standard deviation to the true one.

    The ratio is a chi variable with ``freedom`` degrees of freedom, divided by √``freedom``.
    """
    from scipy.special import chdtri

    chances = (np.arange(QUADRATURE) + 0.5) / QUADRATURE
    return np.asarray(np.sqrt(chdtri(freedom, chances) / freedom))


@lru_cache
def predicted_best(n: int, k: int, chance: float) -> float:
    """Return the quantile ``chance`` of the best of ``k`` further runs, in sample deviations above the mean.

    The mean and the standard deviation are estimated from ``n`` runs, at least 2, and both estimation errors are
    accounted for. For k = 1 the result is Student's quantile times √(1 + 1/n). Otherwise it is the root t of
    E[Φ(Z/√n + t S)^k] = chance, where Z/√n is the error of the mean (Z standard normal) and S the ratio of the
    estimated deviation to the true one (a chi variable over the square root of its degrees of freedom).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, stdtrit

    if k == 1:
        return float(stdtrit(n - 1, chance)) * float(np.sqrt(1 + 1 / n))
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    weights = weights / weights.sum()
    errors, deviations = nodes[:, None] / np.sqrt(n), estimated_deviations(n - 1)[None]

    def excess(t: float) -> float:
        return float(weights @ (ndtr(errors + t * deviations) ** k).mean(axis=1)) - chance

    bound = 10.0
    while excess(bound) < 0 or excess(-bound) > 0:
        bound *= 2
    return float(brentq(excess, -bound, bound, xtol=1e-6))
