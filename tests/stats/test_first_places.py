"""Entries that share first place: the rate of false exclusions is at most 5 %."""

import numpy as np
import pytest

from bench.stats.first_places import not_shown_to_be_worse


def first_place(**values: list[float]) -> set[str]:
    return not_shown_to_be_worse({name: dict(enumerate(by_seed)) for name, by_seed in values.items()}, higher=True)


def test_ties_share_first_place_and_direction_matters() -> None:
    assert first_place(a=[0.5, 0.6], b=[0.5, 0.6]) == {"a", "b"}
    values = {"a": {0: 1.0, 1: 1.1, 2: 1.05}, "b": {0: 9.0, 1: 9.1, 2: 9.05}}
    assert not_shown_to_be_worse(values, higher=True) == {"b"}
    assert not_shown_to_be_worse(values, higher=False) == {"a"}
    assert not_shown_to_be_worse({}, higher=True) == set()


def test_pairs_by_seed_detect_a_shift_smaller_than_the_spread() -> None:
    """A shift of about 0.01 in every seed, while seeds are 0.1 apart."""
    base, shifts = [0.3, 0.4, 0.5, 0.6], [0.010, 0.011, 0.009, 0.010]
    better = [value + shift for value, shift in zip(base, shifts, strict=True)]
    assert first_place(a=base, b=better) == {"b"}
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
