"""First place of a column: every entry that is not shown to be worse than another one, or just the best mean."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, Literal, TypeVar

from bench.stats.pairs import paired_p_value
from bench.stats.spreads import ROUNDING, spread
from bench.stats.student import holm, student_tails

NameT = TypeVar("NameT", bound=Hashable)

# With two seeds a t test has one degree of freedom. Among m pairs, Holm's first step then needs
# t >= cot(pi * 0.05 / 2m), about 12.7 m: with 23 entries a difference of 2,278 of its standard deviations. A pair
# gets there only if its two differences are equal by chance: such tests say nothing about the entries.
TESTED_SEEDS = 3

Basis = Literal["tests", "few seeds", "no difference"]


@dataclass(frozen=True)
class FirstPlace(Generic[NameT]):
    """The entries that share first place, and why.

    The basis is ``tests`` if tests separated at least two entries: the names are all that are not shown to be
    worse than another one. It is ``few seeds`` if fewer than two entries could be tested, and ``no difference`` if
    no test separated any two: the names are then those with the best mean, which may lead by chance.
    """

    names: frozenset[NameT]
    basis: Basis


def first_place(
    values: Mapping[NameT, Mapping[int, float]], *, higher: bool, grain: float = 0.0
) -> FirstPlace[NameT]:
    """Return the entries that share first place.

    Entries with at least ``TESTED_SEEDS`` seeds are tested. If the tests leave nobody out, marking all would say
    nothing: the best mean alone is marked, and equal means. No entry is marked if the best mean is of a single
    seed, or of too few seeds for tests while another entry has more: it may lead by luck.

    Args:
        values: Name -> seed -> metric value, as for ``not_shown_to_be_worse``.
        higher: Whether higher is better.
        grain: The smallest step by which a value can change.
    """
    sign = 1 if higher else -1
    spreads = {name: result for name, by_seed in values.items() if (result := spread(list(by_seed.values())))}
    tested = {name: values[name] for name, result in spreads.items() if result.n >= TESTED_SEEDS}
    basis: Basis = "few seeds" if len(tested) < 2 else "no difference"
    if not spreads:
        return FirstPlace(frozenset(), basis)
    best = max(sign * result.mean for result in spreads.values())
    leaders = {name for name, result in spreads.items() if best - sign * result.mean <= 8 * ROUNDING * abs(best)}
    most = max(result.n for result in spreads.values())
    leaders = {name for name in leaders if spreads[name].n >= min(max(2, most), TESTED_SEEDS)}
    if not leaders:
        return FirstPlace(frozenset(), basis)
    if len(tested) >= 2 and leaders <= tested.keys():
        unbeaten = not_shown_to_be_worse(tested, higher=higher, grain=grain)
        if len(unbeaten) < len(tested):
            return FirstPlace(frozenset(unbeaten), "tests")
    return FirstPlace(frozenset(leaders), basis)


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
