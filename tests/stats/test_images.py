"""Intervals over seeds and images against simulation and closed forms; McNemar against scipy's binomial test."""

import numpy as np
import pytest
from scipy import stats

from bench.stats.images import crossed_mean, mcnemar_p_value
from bench.stats.spreads import spread


@pytest.mark.parametrize(
    ("seeds", "images"),
    [(0.0, 0.0), (0.02, 0.0), (0.0, 0.4), (0.02, 0.4), (0.1, 0.1)],
)
def test_interval_has_the_stated_coverage(seeds: float, images: float) -> None:
    """1,000 draws of 5 seeds and 400 images: normal effects of both, and a residual of 0.3."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        values = 0.5 + rng.normal(0, seeds or 1e-12, (5, 1)) + rng.normal(0, images or 1e-12, (1, 400))
        interval = crossed_mean(values + rng.normal(0, 0.3, (5, 400)))
        covered += interval.low <= 0.5 <= interval.high
    assert covered / 1000 >= 0.95 - 3 * (0.95 * 0.05 / 1000) ** 0.5  # conservative if an effect is absent


def test_single_effect_gives_students_interval() -> None:
    """If all images are equal, it is Student's interval over seeds; if all seeds are, Student's over images."""
    by_seed, by_image = np.array([0.4, 0.5, 0.7]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    for values, table in ((by_seed, np.tile(by_seed[:, None], 5)), (by_image, np.tile(by_image, (3, 1)))):
        interval = crossed_mean(table)
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert crossed_mean(np.ones((2, 2))).low == 1.0


def test_mean_is_the_mean_over_seeds_of_tables_to_the_last_bit() -> None:
    """A mean of all cells can differ in the last bit, and then round to another figure: 62.55 beside 62.54."""
    rng = np.random.default_rng(3)
    differs = 0
    for _ in range(50):
        table = rng.random((3, 1000)) < 0.6
        expected = spread([float(row.mean()) for row in table])
        assert expected is not None and crossed_mean(table).mean == expected.mean
        differs += float(table.mean()) != expected.mean
    assert differs > 0


def test_single_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="1 seeds and 10 images"):
        crossed_mean(np.ones((1, 10)))


@pytest.mark.parametrize(("first", "second", "both_right"), [(10, 25, 100), (0, 0, 5), (3, 3, 0), (0, 7, 2)])
def test_mcnemar_equals_the_binomial_test_of_discordant_images(first: int, second: int, both_right: int) -> None:
    one = np.array([True] * first + [False] * second + [True] * both_right)
    other = np.array([False] * first + [True] * second + [True] * both_right)
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_p_value(one, other) == pytest.approx(expected)
