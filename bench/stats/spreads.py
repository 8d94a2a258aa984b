"""Means, standard deviations and prediction intervals over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.05  # significance level of tests and intervals
ROUNDING = 4 * 2.0**-52  # relative error that summing and dividing can add to equal numbers


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (ddof = 1) of ``n`` values; ``std`` is None if n < 2."""

    mean: float
    std: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return the mean and sample standard deviation of ``values``; None if there are no values.

    The standard deviation of values that differ only by rounding is 0.
    """
    return spread_of_computed(values, max(map(abs, values))) if values else None


def spread_of_computed(values: Sequence[float], size: float) -> Spread:
    """Return the ``spread`` of at least one computed value.

    Args:
        values: Such as differences.
        size: The largest absolute value among the inputs of the computation; it sets the rounding error.
    """
    n = len(values)
    if max(values) - min(values) <= ROUNDING * size:
        return Spread(values[0], 0.0 if n > 1 else None, n)
    scale = size if not 1e-100 < size < 1e100 else 1.0  # avoids overflow and underflow of squares
    mean = math.fsum(value / scale for value in values) / n
    squares = math.fsum((value / scale - mean) ** 2 for value in values)
    return Spread(scale * mean, scale * math.sqrt(squares / (n - 1)), n)


def prediction_interval(sample: Spread, level: float = 1 - LEVEL, runs: int = 1) -> tuple[float, float]:
    """Return the prediction interval of the mean of ``runs`` further values: mean ± t · std · √(1/runs + 1/n).

    Raises:
        ValueError: If ``sample`` has no standard deviation.
    """
    if sample.std is None:
        raise ValueError("a single value has no standard deviation; a prediction interval needs at least 2")
    from scipy.special import stdtrit  # not scipy.stats, which takes a second to import

    half = float(stdtrit(sample.n - 1, (1 + level) / 2)) * sample.std * math.sqrt(1 / runs + 1 / sample.n)
    return sample.mean - half, sample.mean + half
