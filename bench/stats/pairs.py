"""Differences of pairs, such as two networks trained from the same seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.stats.spreads import LEVEL, ROUNDING, Spread, spread_of_computed
from bench.stats.student import student_tails


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``n`` paired differences and its interval; no interval when n < 2."""

    mean: float
    low: float | None
    high: float | None
    n: int


def paired_difference(
    values: Sequence[float], others: Sequence[float], level: float = 1 - LEVEL
) -> PairedDifference | None:
    """``values - others``, pair by pair, with Student's interval of the mean; None for no pairs.

    Args:
        values: Differences no larger than their rounding are none.
        others: As many.
        level: Of the interval, in (0, 1); the bounds of 0.9 are each one-sided at 5 %.

    Raises:
        ValueError: If the two are of different lengths.
    """
    found = _differences(values, others)
    if found is None:
        return None
    if found.std is None:
        return PairedDifference(found.mean, None, None, 1)
    if found.std == 0:
        return PairedDifference(found.mean, found.mean, found.mean, found.n)
    from scipy.special import stdtrit  # this alone: scipy.stats takes a second to import

    half = float(stdtrit(found.n - 1, (1 + level) / 2)) * found.std / math.sqrt(found.n)
    return PairedDifference(found.mean, found.mean - half, found.mean + half, found.n)


def paired_by_seed(
    values: Mapping[int, float], others: Mapping[int, float], level: float = 1 - LEVEL
) -> PairedDifference | None:
    """The same of values by seed, over the seeds that both have."""
    return paired_difference(*_shared(values, others), level)


def paired_p_value(values: Mapping[int, float], others: Mapping[int, float], grain: float = 0.0) -> float | None:
    """That the seeds that both have differ by 0 in the mean: the paired t test, two-sided; None for one."""
    found = _differences(*_shared(values, others))
    if found is None or found.std is None:
        return None
    if found.mean == 0:
        return 1.0
    # A difference of two figures that are rounded to a grain has a deviation of grain / √6 at least.
    std = max(found.std, grain / math.sqrt(6))
    return student_tails(abs(found.mean) / std * math.sqrt(found.n), found.n - 1) if std else 0.0


def _shared(values: Mapping[int, float], others: Mapping[int, float]) -> tuple[list[float], list[float]]:
    seeds = sorted(values.keys() & others.keys())
    return [values[seed] for seed in seeds], [others[seed] for seed in seeds]


def _differences(values: Sequence[float], others: Sequence[float]) -> Spread | None:
    differences = [value - other for value, other in zip(values, others, strict=True)]
    if not differences:
        return None
    size = max(map(abs, (*values, *others)))
    found = spread_of_computed(differences, size)
    return Spread(0.0 if abs(found.mean) <= ROUNDING * size else found.mean, found.std, found.n)
