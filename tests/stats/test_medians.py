"""The interval of a median covers as often as it says."""

import numpy as np
import pytest

from bench.stats.medians import median_interval


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
