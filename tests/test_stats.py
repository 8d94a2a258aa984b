"""Spread over seeds, against numpy."""

import numpy as np
import pytest
import scipy.stats

from bench.stats import PairedDifference, paired_difference, spread


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
