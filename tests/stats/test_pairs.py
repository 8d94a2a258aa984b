"""Paired differences, t tests and Holm's correction, against scipy and definitions."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from bench.stats.pairs import PairedDifference, paired_by_seed, paired_difference, paired_p_value
from bench.stats.spreads import LEVEL, Spread, spread
from bench.stats.student import holm, student_tails, welch_p_value


def spread_of(values: list[float]) -> Spread:
    result = spread(values)
    assert result is not None
    return result


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_paired_difference_equals_scipys_interval(level: float) -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(0.5, 0.01, 6), generator.normal(0.48, 0.01, 6)
    difference = paired_difference(ours.tolist(), theirs.tolist(), level)
    assert difference is not None and difference.n == 6
    expected = scipy.stats.ttest_rel(ours, theirs).confidence_interval(level)
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert difference.mean == pytest.approx((ours - theirs).mean())


def test_paired_difference_of_one_pair_has_no_interval() -> None:
    assert paired_difference([0.5], [0.25]) == PairedDifference(0.25, None, None, 1)
    assert paired_difference([], []) is None
    with pytest.raises(ValueError, match="longer"):
        paired_difference([1.0], [1.0, 2.0])


def test_only_common_seeds_are_paired() -> None:
    difference = paired_by_seed({0: 1.0, 1: 2.0, 7: 5.0}, {1: 1.0, 7: 3.0, 9: 0.0})
    assert difference == paired_difference([2.0, 5.0], [1.0, 3.0])
    assert paired_by_seed({0: 1.0}, {1: 1.0}) is None


def test_p_values_equal_scipy() -> None:
    generator = np.random.default_rng(0)
    for n, m in ((2, 2), (3, 5), (10, 4)):
        one, other = generator.normal(0.5, 0.1, n).tolist(), generator.normal(0.55, 0.3, m).tolist()
        assert welch_p_value(spread_of(one), spread_of(other)) == pytest.approx(
            scipy.stats.ttest_ind(one, other, equal_var=False).pvalue
        )
        pairs = dict(enumerate(one)), dict(enumerate(other))
        k = min(n, m)
        assert paired_p_value(*pairs) == pytest.approx(scipy.stats.ttest_rel(one[:k], other[:k]).pvalue)
    assert paired_p_value({0: 0.5, 1: 0.6}, {0: 0.4}) is None


@given(st.floats(0.01, 100), st.integers(2, 20), st.integers(2, 20))
def test_equal_values_have_p_value_1(value: float, n: int, m: int) -> None:
    assert welch_p_value(spread_of([value] * n), spread_of([value] * m)) == 1
    assert paired_p_value(dict.fromkeys(range(n), value), dict.fromkeys(range(m), value)) == 1


def test_constant_shift_has_an_interval_of_width_0() -> None:
    """0.3 - 0.1 and 0.4 - 0.2 differ in the last bit only, which is rounding."""
    difference = paired_difference([0.3, 0.4, 0.7], [0.1, 0.2, 0.5])
    assert difference is not None and difference.low == difference.mean == difference.high == pytest.approx(0.2)
    assert paired_p_value({0: 0.3, 1: 0.4}, {0: 0.1, 1: 0.2}) == 0


@given(st.floats(0.5, 10_000), st.floats(0, 300))
def test_student_tails_equal_scipy(freedom: float, t: float) -> None:
    assert student_tails(t, freedom) == pytest.approx(2 * special.stdtr(freedom, -t), rel=1e-8, abs=1e-300)


def test_holm_rejects_step_by_step() -> None:
    # Holm 1979: the smallest against level/m, the next against level/(m-1), until one does not reject.
    assert holm([0.01, 0.04, 0.03]) == [True, False, False]  # 0.03 > 0.05 / 2, although 0.04 < 0.05
    assert holm([0.01, 0.02, 0.04]) == [True, True, True]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_equals_its_definition(p_values: list[float]) -> None:
    rejections = holm(p_values)
    assert len(rejections) == len(p_values)
    # The definition: the k-th smallest is compared with level / (m - k + 1), up to the first that fails.
    expected, ordered = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
    for k, index in enumerate(ordered):
        if p_values[index] > LEVEL / (len(p_values) - k):
            break
        expected.add(index)
    assert {index for index, rejected in enumerate(rejections) if rejected} == expected
    bonferroni = sum(p <= LEVEL / max(1, len(p_values)) for p in p_values)
    assert sum(rejections) >= bonferroni


def test_interval_within_what_is_possible() -> None:
    wide = PairedDifference(0.9, -0.2, 2.0, 2)
    assert wide.within(0, 1) == PairedDifference(0.9, 0, 1, 2)
    assert wide.within(-1, 1) == PairedDifference(0.9, -0.2, 1, 2)
    single = PairedDifference(0.9, None, None, 1)
    assert single.within(0, 1) == single
