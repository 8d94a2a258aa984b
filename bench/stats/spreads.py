"""Means and spreads over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.05
ROUNDING = 4 * 2.0**-52  # relative: what adding up and dividing may leave of equal numbers


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (ddof = 1) of ``n`` values; ``std`` is None when n < 2."""

    mean: float
    std: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """The mean and sample standard deviation of ``values``; None for no values, never 0.

    Numbers that differ by no more than rounding have the deviation 0.
    """
    return spread_of_computed(values, max(map(abs, values))) if values else None


def spread_of_computed(values: Sequence[float], size: float) -> Spread:
    """The same of at least one value; ``size`` is that of the largest number that they were computed from."""
    n = len(values)
    if max(values) - min(values) <= ROUNDING * size:
        return Spread(values[0], 0.0 if n > 1 else None, n)
    scale = size if not 1e-100 < size < 1e100 else 1.0  # so that no square is out of range
    mean = math.fsum(value / scale for value in values) / n
    squares = math.fsum((value / scale - mean) ** 2 for value in values)
    return Spread(scale * mean, scale * math.sqrt(squares / (n - 1)), n)


def prediction_interval(of: Spread, level: float = 1 - LEVEL, runs: int = 1) -> tuple[float, float]:
    """Where the mean of ``runs`` more values may be expected: mean ± t · std · √(1/runs + 1/n).

    Raises:
        ValueError: If there is no spread.
    """
    if of.std is None:
        raise ValueError("a single value has no spread")
    from scipy.special import stdtrit  # this alone: scipy.stats takes a second to import

    half = float(stdtrit(of.n - 1, (1 + level) / 2)) * of.std * math.sqrt(1 / runs + 1 / of.n)
    return of.mean - half, of.mean + half
