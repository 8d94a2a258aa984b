"""Spread over seeds, against numpy."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from bench.stats import (
    PairedDifference,
    median_interval,
    paired_by_seed,
    paired_difference,
    prediction_interval,
    spread,
    student_tails,
)


@pytest.mark.parametrize("values", [[0.5, 0.7], [1.0, 1.0, 1.0], [0.1, 0.2, 0.4, 0.45, 3.0]])
def test_sample_standard_deviation(values: list[float]) -> None:
    found = spread(values)
    assert found is not None and found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))


def test_one_value_has_no_spread_and_none_has_nothing() -> None:
    one = spread([0.3])
    assert one is not None and one.std is None and one.mean == 0.3
    assert spread([]) is None


def test_paired_difference_is_scipys_interval() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(0.5, 0.01, 6), generator.normal(0.48, 0.01, 6)
    found = paired_difference(ours.tolist(), theirs.tolist())
    assert found is not None and found.n == 6
    expected = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx((ours - theirs).mean())


def test_paired_difference_of_one_pair_has_no_interval() -> None:
    assert paired_difference([0.5], [0.25]) == PairedDifference(0.25, None, None, 1)
    assert paired_difference([], []) is None
    with pytest.raises(ValueError, match="longer"):
        paired_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize("n", [6, 9, 24, 101])
def test_the_interval_of_the_median_covers_as_often_as_it_says(n: int) -> None:
    generator = np.random.default_rng(n)
    covered = 0
    for _ in range(2000):
        middle, low, high = median_interval(list(generator.exponential(size=n)))
        assert low <= middle <= high
        covered += low <= np.log(2) <= high
    assert 0.94 <= covered / 2000 <= 0.99  # conservative, as whole values are left out


def test_the_interval_of_the_median_by_hand() -> None:
    # n = 6: the coin shows six heads with 1/64 < 2.5 %, so nothing is left out; n = 9: one (10/512 < 2.5 %).
    assert median_interval([6, 1, 5, 2, 4, 3]) == (3.5, 1, 6)
    assert median_interval([9, 8, 7, 6, 5, 4, 3, 2, 1]) == (5, 2, 8)
    with pytest.raises(ValueError, match="at least 6"):
        median_interval([1, 2, 3, 4, 5])


@given(st.floats(0.5, 10_000), st.floats(0, 300))
def test_student_tails_are_scipys(freedom: float, t: float) -> None:
    assert student_tails(t, freedom) == pytest.approx(2 * special.stdtr(freedom, -t), rel=1e-8, abs=1e-300)


def test_another_seed_lies_within_the_prediction_interval_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        *seen, another = generator.normal(10, 2, 6).tolist()
        found = spread(seen)
        assert found is not None
        low, high = prediction_interval(found)
        inside += low <= another <= high
    assert abs(inside / 4000 - 0.95) < 4 * (0.95 * 0.05 / 4000) ** 0.5


def test_pairs_are_the_seeds_that_both_have() -> None:
    found = paired_by_seed({0: 1.0, 1: 2.0, 7: 5.0}, {1: 1.0, 7: 3.0, 9: 0.0})
    assert found == paired_difference([2.0, 5.0], [1.0, 3.0])
    assert paired_by_seed({0: 1.0}, {1: 1.0}) is None
