"""Means, spreads and intervals over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (ddof = 1) of ``n`` values; ``std`` is None when n < 2."""

    mean: float
    std: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """The mean and sample standard deviation of ``values``; None for no values, never 0."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)), n)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``n`` paired differences and its 95 % interval; no interval when n < 2."""

    mean: float
    low: float | None
    high: float | None
    n: int


def paired_difference(values: Sequence[float], others: Sequence[float]) -> PairedDifference | None:
    """``values - others``, pair by pair, with Student's interval of the mean; None for no pairs.

    Raises:
        ValueError: If the two are of different lengths.
    """
    differences = spread([value - other for value, other in zip(values, others, strict=True)])
    if differences is None:
        return None
    if differences.std is None:
        return PairedDifference(differences.mean, None, None, 1)
    from scipy.special import stdtrit  # the t quantile alone: scipy.stats takes a second to import

    half = float(stdtrit(differences.n - 1, 0.975)) * differences.std / math.sqrt(differences.n)
    return PairedDifference(differences.mean, differences.mean - half, differences.mean + half, differences.n)
