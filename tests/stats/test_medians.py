"""The confidence interval of a median."""

import numpy as np
import pytest

from bench.stats.medians import median_interval


@pytest.mark.parametrize("n", [6, 9, 24, 101])
def test_interval_of_the_median_has_the_stated_coverage(n: int) -> None:
    generator = np.random.default_rng(n)
    covered = 0
    for _ in range(2000):
        middle, low, high = median_interval(list(generator.exponential(size=n)))
        assert low <= middle <= high
        covered += low <= np.log(2) <= high
    assert 0.94 <= covered / 2000 <= 0.99  # conservative, because a whole number of values is left out


def test_interval_of_the_median_by_hand() -> None:
    # n = 6: P(6 heads) = 1/64 < 2.5 %, none is left out; n = 9: P(8 or 9 heads) = 10/512 < 2.5 %, one per side.
    assert median_interval([6, 1, 5, 2, 4, 3]) == (3.5, 1, 6)
    assert median_interval([9, 8, 7, 6, 5, 4, 3, 2, 1]) == (5, 2, 8)
    with pytest.raises(ValueError, match="at least 6"):
        median_interval([1, 2, 3, 4, 5])
