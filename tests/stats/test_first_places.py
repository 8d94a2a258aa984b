"""Entries that share first place: the rate of false exclusions is at most 5 %."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.stats.first_places import TESTED_SEEDS, first_place, not_shown_to_be_worse


def unbeaten(**values: list[float]) -> set[str]:
    return not_shown_to_be_worse({name: dict(enumerate(by_seed)) for name, by_seed in values.items()}, higher=True)


def test_ties_share_first_place_and_direction_matters() -> None:
    assert unbeaten(a=[0.5, 0.6], b=[0.5, 0.6]) == {"a", "b"}
    values = {"a": {0: 1.0, 1: 1.1, 2: 1.05}, "b": {0: 9.0, 1: 9.1, 2: 9.05}}
    assert not_shown_to_be_worse(values, higher=True) == {"b"}
    assert not_shown_to_be_worse(values, higher=False) == {"a"}
    assert not_shown_to_be_worse({}, higher=True) == set()


def test_pairs_by_seed_detect_a_shift_smaller_than_the_spread() -> None:
    """A shift of about 0.01 in every seed, while seeds are 0.1 apart."""
    base, shifts = [0.3, 0.4, 0.5, 0.6], [0.010, 0.011, 0.009, 0.010]
    better = [value + shift for value, shift in zip(base, shifts, strict=True)]
    assert unbeaten(a=base, b=better) == {"b"}
    other_seeds = {"a": dict(enumerate(base)), "b": {seed + 7: value for seed, value in enumerate(better)}}
    assert not_shown_to_be_worse(other_seeds, higher=True) == {"a", "b"}


def test_equal_differences_of_coarse_values_are_not_significant() -> None:
    """Two equal differences are weak evidence if values change in steps of one image."""
    values = {"a": {0: 0.500, 1: 0.510}, "b": {0: 0.498, 1: 0.508}}
    assert not_shown_to_be_worse(values, higher=True, grain=1e-3) == {"a", "b"}
    assert not_shown_to_be_worse(values, higher=True) == {"a"}


@pytest.mark.parametrize("many", [5, 20])
def test_error_rate_of_2_seeds_against_many_is_at_most_5_percent(many: int) -> None:
    rng = np.random.default_rng(many)
    wrong = 0
    for _ in range(1500):
        values = {"few": dict(enumerate(rng.normal(size=2))), "many": dict(enumerate(rng.normal(size=many), 50))}
        wrong += len(not_shown_to_be_worse(values, higher=True)) < 2
    assert wrong / 1500 <= 0.05 + 4 * (0.05 * 0.95 / 1500) ** 0.5


@pytest.mark.parametrize(("n", "rows"), [(3, 4), (5, 8)])
def test_error_rate_among_equal_entries_is_at_most_5_percent(n: int, rows: int) -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1500):
        values = {str(row): dict(enumerate(rng.normal(0.5, 0.01, n))) for row in range(rows)}
        wrong += len(not_shown_to_be_worse(values, higher=True)) < rows
    assert wrong / 1500 <= 0.05 + 4 * (0.05 * 0.95 / 1500) ** 0.5


def place(**values: list[float]) -> tuple[set[str], str]:
    result = first_place({name: dict(enumerate(by_seed)) for name, by_seed in values.items()}, higher=True)
    return set(result.names), result.basis


def test_two_seeds_are_not_tested_and_the_best_mean_is_marked() -> None:
    assert TESTED_SEEDS == 3
    assert place(a=[0.9, 0.9], b=[0.1, 0.1]) == ({"a"}, "few seeds")  # p would be 0
    assert place(a=[0.9, 0.9], b=[0.9, 0.9], c=[0.8, 0.9]) == ({"a", "b"}, "few seeds")
    assert place(a=[0.1, 0.2, 0.3], b=[0.4, 0.1]) == (set(), "few seeds")  # two seeds lead where another has three
    assert place(a=[0.1, 0.2, 0.3], b=[0.2, 0.1]) == ({"a"}, "few seeds")
    assert place(a=[0.9], b=[0.1, 0.2]) == (set(), "few seeds")
    assert place(a=[0.9], b=[0.8]) == (set(), "few seeds")
    assert first_place({}, higher=True).names == frozenset()
    lower = first_place({"a": {0: 1.0, 1: 1.1}, "b": {0: 2.0, 1: 2.1}}, higher=False)
    assert lower.names == {"a"}


def differences_at(p_value: float) -> list[float]:
    """Return three differences with this p value of the paired t test: 1 - t/√(2 + t²) with 2 degrees."""
    t = (1 - p_value) * math.sqrt(2 / (1 - (1 - p_value) ** 2))
    return [t / math.sqrt(3) + deviation for deviation in (-1.0, 0.0, 1.0)]  # standard deviation 1


@pytest.mark.parametrize(("p_value", "separated"), [(0.049, True), (0.051, False)])
def test_two_entries_of_three_seeds_are_separated_at_5_percent(p_value: float, separated: bool) -> None:
    names, basis = place(a=differences_at(p_value), b=[0.0, 0.0, 0.0])
    assert (names, basis) == ({"a"}, "tests" if separated else "no difference")


@pytest.mark.parametrize(("p_value", "separated"), [(0.049 / 3, True), (0.051 / 3, False)])
def test_first_of_three_pairs_is_separated_at_a_third_of_5_percent(p_value: float, separated: bool) -> None:
    """The third entry is between the two others, with differences that no test separates."""
    ahead = differences_at(p_value)
    between = [value / 2 + noise for value, noise in zip(ahead, (-30.0, 15.0, 15.0), strict=True)]
    names, basis = place(a=ahead, b=[0.0, 0.0, 0.0], c=between)
    assert (names, basis) == (({"a", "c"}, "tests") if separated else ({"a"}, "no difference"))


def test_separated_entries_without_spread() -> None:
    """Values without any spread are separated by one image of 10,000 only if it is more than rounding explains."""
    values = {"a": dict.fromkeys(range(3), 1.0), "b": dict.fromkeys(range(3), 0.925)}
    assert first_place(values, higher=True, grain=1e-4) == first_place(values, higher=True)
    assert first_place(values, higher=True, grain=1e-4).basis == "tests"
    close = {"a": dict.fromkeys(range(3), 1.0), "b": dict.fromkeys(range(3), 0.9999)}
    # t = √6 · √3 = 4.243 with 2 degrees of freedom: p = 1 - t/√(2 + t²) = 0.0513.
    assert first_place(close, higher=True, grain=1e-4).basis == "no difference"


def test_published_threshold_of_two_seeds_is_the_cotangent() -> None:
    """The reason for three seeds: t at Holm's first step among 253 pairs of 23 entries, 1 degree of freedom."""
    level = 0.05 / 253
    t = 1 / math.tan(math.pi * level / 2)
    assert stats.t.sf(t, 1) * 2 == pytest.approx(level)
    assert t / math.sqrt(2) == pytest.approx(2278, abs=1)
