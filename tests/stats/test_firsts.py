"""What may be called best: nothing that leads by chance is, and nothing is called worse by mistake too often."""

import numpy as np
import pytest

from bench.stats.firsts import not_shown_to_be_worse


def first(**values: list[float]) -> set[str]:
    return not_shown_to_be_worse({name: dict(enumerate(own)) for name, own in values.items()}, higher=True)


def test_ties_and_direction() -> None:
    assert first(a=[0.5, 0.6], b=[0.5, 0.6]) == {"a", "b"}
    values = {"a": {0: 1.0, 1: 1.1, 2: 1.05}, "b": {0: 9.0, 1: 9.1, 2: 9.05}}
    assert not_shown_to_be_worse(values, higher=True) == {"b"}
    assert not_shown_to_be_worse(values, higher=False) == {"a"}
    assert not_shown_to_be_worse({}, higher=True) == set()


def test_pairs_by_seed_see_what_the_spread_over_seeds_hides() -> None:
    """The same shift of 0.01 in every seed, seeds 0.1 apart."""
    base, shifts = [0.3, 0.4, 0.5, 0.6], [0.010, 0.011, 0.009, 0.010]
    better = [value + shift for value, shift in zip(base, shifts, strict=True)]
    assert first(a=base, b=better) == {"b"}
    other_seeds = {"a": dict(enumerate(base)), "b": {seed + 7: value for seed, value in enumerate(better)}}
    assert not_shown_to_be_worse(other_seeds, higher=True) == {"a", "b"}


def test_figures_that_are_counts_and_happen_to_be_equal() -> None:
    """Two equal differences are no proof, where a difference can only be a whole number of images."""
    values = {"a": {0: 0.500, 1: 0.510}, "b": {0: 0.498, 1: 0.508}}
    assert not_shown_to_be_worse(values, higher=True, grain=1e-3) == {"a", "b"}
    assert not_shown_to_be_worse(values, higher=True) == {"a"}


@pytest.mark.parametrize("many", [5, 20])
def test_a_few_seeds_beside_many_are_called_worse_as_rarely(many: int) -> None:
    rng = np.random.default_rng(many)
    wrong = 0
    for _ in range(1500):
        values = {"few": dict(enumerate(rng.normal(size=2))), "many": dict(enumerate(rng.normal(size=many), 50))}
        wrong += len(not_shown_to_be_worse(values, higher=True)) < 2
    assert wrong / 1500 <= 0.05 + 4 * (0.05 * 0.95 / 1500) ** 0.5


@pytest.mark.parametrize(("n", "rows"), [(3, 4), (5, 8)])
def test_among_equals_anything_is_called_worse_at_most_one_time_in_twenty(n: int, rows: int) -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1500):
        values = {str(row): dict(enumerate(rng.normal(0.5, 0.01, n))) for row in range(rows)}
        wrong += len(not_shown_to_be_worse(values, higher=True)) < rows
    assert wrong / 1500 <= 0.05 + 4 * (0.05 * 0.95 / 1500) ** 0.5
