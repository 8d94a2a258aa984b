"""The candidates for first place: every entry that is not shown to be worse than another one."""

import math
from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import TypeVar

from bench.stats.pairs import paired_p_value
from bench.stats.spreads import ROUNDING, spread
from bench.stats.student import holm, student_tails

NameT = TypeVar("NameT", bound=Hashable)


def not_shown_to_be_worse(
    values: Mapping[NameT, Mapping[int, float]], *, higher: bool, grain: float = 0.0
) -> set[NameT]:
    """Return the names that share first place.

    All pairs are tested: by a paired t test if both entries have the same seeds, else by an independent t test.
    Holm's procedure limits the probability of any false rejection (family-wise error rate) to 5 %. Tests against
    the leader alone would not, since the leader is selected by the same values.

    Args:
        values: Name -> seed -> metric value. Runs with the same seed train on the same order of images. An entry
            with a single seed has no standard deviation and cannot be tested: it never shares first place, and
            if it has the best mean, the result is empty.
        higher: Whether higher is better.
        grain: The smallest step by which a value can change, such as one image of an accuracy. A few values can
            be equal by chance, so the standard deviation is taken to be at least the rounding error of this step.
    """
    sign = 1 if higher else -1
    spreads = {name: result for name, by_seed in values.items() if (result := spread(list(by_seed.values())))}
    if not spreads or spreads[max(spreads, key=lambda name: sign * spreads[name].mean)].std is None:
        return set()
    testable = [name for name, result in spreads.items() if result.std is not None]
    pairs = list(combinations(testable, 2))
    rejected = holm([_p_value(values[one], values[other], grain) for one, other in pairs])
    worse = {
        min(pair, key=lambda name: sign * spreads[name].mean)
        for pair, differs in zip(pairs, rejected, strict=True)
        if differs
    }
    return set(testable) - worse


def _p_value(one: Mapping[int, float], other: Mapping[int, float], grain: float) -> float:
    if one.keys() == other.keys():
        p_value = paired_p_value(one, other, grain)
        assert p_value is not None  # both have at least two seeds
        return p_value
    return _independent_p_value(one, other, grain)


def _independent_p_value(one: Mapping[int, float], other: Mapping[int, float], grain: float) -> float:
    """Return the p-value of a conservative t test, with the smaller of the two degrees of freedom.

    Welch's test rejects too often with two seeds on one side and twenty on the other.
    """
    samples = [spread(list(values.values())) for values in (one, other)]
    errors, means = [], []
    for sample in samples:
        assert sample is not None and sample.std is not None
        # Rounding to a grain has a standard deviation of grain / √12.
        errors.append(max(sample.std, grain / math.sqrt(12)) / math.sqrt(sample.n))
        means.append(sample.mean)
    difference, error = abs(means[0] - means[1]), math.hypot(*errors)
    if difference <= ROUNDING * max(map(abs, means)):
        return 1.0
    return student_tails(difference / error, min(len(one), len(other)) - 1) if error else 0.0
