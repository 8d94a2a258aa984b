"""Which of several may be the best: all that no other is shown to be better than."""

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
    """The names that share the first place.

    All pairs are tested, by seed where both have the same seeds (paired t), else as independent (t), and
    Holm's procedure keeps the chance that anything at all is called worse by mistake at 5 %. Tests against the
    leader alone, which is chosen by the same numbers, would not.

    Args:
        values: Name -> seed -> figure. Seeds of one number train on the same order of images. What has a single
            seed has no spread and cannot be tested: it is never among the first, and where it leads, nothing is.
        higher: Whether more is better.
        grain: The least by which a figure can change, such as one image of an accuracy: a few figures that
            happen to be equal have no smaller spread than it leaves unseen.
    """
    sign = 1 if higher else -1
    spreads = {name: found for name, own in values.items() if (found := spread(list(own.values())))}
    if not spreads or spreads[max(spreads, key=lambda name: sign * spreads[name].mean)].std is None:
        return set()
    several = [name for name, found in spreads.items() if found.std is not None]
    pairs = list(combinations(several, 2))
    rejected = holm([_p_value(values[one], values[other], grain) for one, other in pairs])
    worse = {
        min(pair, key=lambda name: sign * spreads[name].mean)
        for pair, differs in zip(pairs, rejected, strict=True)
        if differs
    }
    return set(several) - worse


def _p_value(one: Mapping[int, float], other: Mapping[int, float], grain: float) -> float:
    if one.keys() == other.keys():
        found = paired_p_value(one, other, grain)
        assert found is not None  # both have at least two seeds
        return found
    return _independent(one, other, grain)


def _independent(one: Mapping[int, float], other: Mapping[int, float], grain: float) -> float:
    """Student's t with the smaller of both degrees of freedom, which is never too sure of itself.

    Welch's are, with two seeds on one side and twenty on the other.
    """
    sides = [spread(list(values.values())) for values in (one, other)]
    errors, means = [], []
    for side in sides:
        assert side is not None and side.std is not None
        errors.append(max(side.std, grain / math.sqrt(12)) / math.sqrt(side.n))
        means.append(side.mean)
    difference, error = abs(means[0] - means[1]), math.hypot(*errors)
    if difference <= ROUNDING * max(map(abs, means)):
        return 1.0
    return student_tails(difference / error, min(len(one), len(other)) - 1) if error else 0.0
