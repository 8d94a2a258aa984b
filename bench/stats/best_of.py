"""The best of several runs: where it is expected, and where it may lie, as far as a few runs say.

Runs are taken to be independent and normal. "Best" is the largest here; for the smallest, change the signs.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

QUADRATURE = 2000


@lru_cache
def expected_best(k: int) -> float:
    """Of ``k`` standard normal values the mean of the largest: ∫ x k φ(x) Φ(x)^(k-1) dx."""
    if k == 1:
        return 0.0
    from scipy.special import ndtr

    x = np.linspace(-12, 12, 24 * 100 + 1)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return float(np.sum(x * k * density * ndtr(x) ** (k - 1)) / 100)


def estimated_deviations(freedom: float) -> NDArray[np.float64]:
    """Equally likely ratios of an estimated deviation to the true one: a chi variable over √``freedom``."""
    from scipy.special import chdtri

    chances = (np.arange(QUADRATURE) + 0.5) / QUADRATURE
    return np.asarray(np.sqrt(chdtri(freedom, chances) / freedom))


@lru_cache
def predicted_best(n: int, k: int, chance: float) -> float:
    """How many deviations above our mean the best of ``k`` further runs stays with probability ``chance``.

    Mean and deviation are those of ``n`` runs, at least 2, with their own errors. For k = 1 it is Student's
    quantile times √(1 + 1/n); else the root t of E[Φ(Z/√n + t S)^k] = chance over the mean's error Z/√n, normal,
    and the deviation's, S, a chi variable over the root of its degrees of freedom.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, stdtrit

    if k == 1:
        return float(stdtrit(n - 1, chance)) * float(np.sqrt(1 + 1 / n))
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    weights = weights / weights.sum()
    errors, deviations = nodes[:, None] / np.sqrt(n), estimated_deviations(n - 1)[None]

    def missing(t: float) -> float:
        return float(weights @ (ndtr(errors + t * deviations) ** k).mean(axis=1)) - chance

    bound = 10.0
    while missing(bound) < 0 or missing(-bound) > 0:
        bound *= 2
    return float(brentq(missing, -bound, bound, xtol=1e-6))
