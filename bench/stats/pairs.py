"""Paired differences, such as between two networks trained with the same seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.stats.spreads import LEVEL, ROUNDING, Spread, spread_of_computed
from bench.stats.student import student_tails


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``n`` paired differences and its interval; the bounds are None if n < 2."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def within(self, lowest: float, highest: float) -> "PairedDifference":
        """Return it with an interval that ends at the lowest and highest possible value.

        A t interval of few values may go beyond what a mean of accuracies can be; the part outside covers nothing.
        """
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(lowest, self.low), high=min(highest, self.high))


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], level: float = 1 - LEVEL
) -> PairedDifference | None:
    """Return the mean of ``values - baseline``, pair by pair, with Student's interval; None without pairs.

    Differences no larger than the rounding error of the values count as 0.

    Args:
        values: One value per pair.
        baseline: The values to subtract, in the same order.
        level: Confidence level in (0, 1); with 0.9, each bound is also a one-sided bound at 5 %.

    Raises:
        ValueError: If the lengths differ.
    """
    sample = _differences(values, baseline)
    if sample is None:
        return None
    if sample.std is None:
        return PairedDifference(sample.mean, None, None, 1)
    if sample.std == 0:
        return PairedDifference(sample.mean, sample.mean, sample.mean, sample.n)
    from scipy.special import stdtrit  # not scipy.stats, which takes a second to import

    half = float(stdtrit(sample.n - 1, (1 + level) / 2)) * sample.std / math.sqrt(sample.n)
    return PairedDifference(sample.mean, sample.mean - half, sample.mean + half, sample.n)


def paired_by_seed(
    values: Mapping[int, float], baseline: Mapping[int, float], level: float = 1 - LEVEL
) -> PairedDifference | None:
    """Return ``paired_difference`` of values by seed, over the seeds in both mappings."""
    return paired_difference(*_shared(values, baseline), level)


def paired_p_value(values: Mapping[int, float], baseline: Mapping[int, float], grain: float = 0.0) -> float | None:
    """Return the p-value of the paired, two-sided t test that the mean difference is 0, over the shared seeds.

    None for fewer than two shared seeds. ``grain`` is the smallest step by which a value can change.
    """
    sample = _differences(*_shared(values, baseline))
    if sample is None or sample.std is None:
        return None
    if sample.mean == 0:
        return 1.0
    # The difference of two values, each rounded to a grain, has a standard deviation of at least grain / √6.
    std = max(sample.std, grain / math.sqrt(6))
    return student_tails(abs(sample.mean) / std * math.sqrt(sample.n), sample.n - 1) if std else 0.0


def _shared(values: Mapping[int, float], baseline: Mapping[int, float]) -> tuple[list[float], list[float]]:
    seeds = sorted(values.keys() & baseline.keys())
    return [values[seed] for seed in seeds], [baseline[seed] for seed in seeds]


def _differences(values: Sequence[float], baseline: Sequence[float]) -> Spread | None:
    differences = [value - other for value, other in zip(values, baseline, strict=True)]
    if not differences:
        return None
    size = max(map(abs, (*values, *baseline)))
    sample = spread_of_computed(differences, size)
    return Spread(0.0 if abs(sample.mean) <= ROUNDING * size else sample.mean, sample.std, sample.n)
