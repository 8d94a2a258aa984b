"""Intervals over seeds and images against simulation and closed forms; McNemar against scipy's binomial test."""

import numpy as np
import pytest
from scipy import stats

from bench.stats.images import crossed_mean, mcnemar_p_value


@pytest.mark.parametrize(
    ("seeds", "images"),
    [(0.0, 0.0), (0.02, 0.0), (0.0, 0.4), (0.02, 0.4), (0.1, 0.1)],
)
def test_the_interval_covers_as_often_as_it_says(seeds: float, images: float) -> None:
    """Of 1,000 draws of 5 seeds and 400 images: normal effects of either, and a rest of 0.3."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        values = 0.5 + rng.normal(0, seeds or 1e-12, (5, 1)) + rng.normal(0, images or 1e-12, (1, 400))
        found = crossed_mean(values + rng.normal(0, 0.3, (5, 400)))
        inside += found.low <= 0.5 <= found.high
    assert inside / 1000 >= 0.95 - 3 * (0.95 * 0.05 / 1000) ** 0.5  # where an effect is absent it is careful


def test_alone_each_effect_gives_its_own_interval() -> None:
    """Where images answer alike, it is Student's over seeds; where seeds do, Student's over images."""
    by_seed, by_image = np.array([0.4, 0.5, 0.7]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    for values, table in ((by_seed, np.tile(by_seed[:, None], 5)), (by_image, np.tile(by_image, (3, 1)))):
        found = crossed_mean(table)
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert crossed_mean(np.ones((2, 2))).low == 1.0


def test_too_few() -> None:
    with pytest.raises(ValueError, match="1 seeds and 10 images"):
        crossed_mean(np.ones((1, 10)))


@pytest.mark.parametrize(("first", "second", "both"), [(10, 25, 100), (0, 0, 5), (3, 3, 0), (0, 7, 2)])
def test_mcnemar_is_the_binomial_test_of_those_that_differ(first: int, second: int, both: int) -> None:
    one = np.array([True] * first + [False] * second + [True] * both)
    other = np.array([False] * first + [True] * second + [True] * both)
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_p_value(one, other) == pytest.approx(expected)
