"""Spread over seeds, against numpy; what rounding leaves is no spread; where the next seed lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.spreads import prediction_interval, spread


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


@given(st.floats(-1e6, 1e6, allow_subnormal=False), st.integers(2, 50))
def test_equal_values_have_no_spread(value: float, n: int) -> None:
    """The mean of ten times 0.47 is not 0.47 in floating point; it is here."""
    found = spread([value] * n)
    assert found is not None and (found.mean, found.std) == (value, 0.0)


@pytest.mark.parametrize("size", [1e-300, 1e-90, 1.0, 1e200, 1e307])
def test_numbers_of_any_size(size: float) -> None:
    found = spread([1 * size, 2 * size, 4 * size])
    assert found is not None and found.std == pytest.approx(np.std([1, 2, 4], ddof=1) * size)
    assert found.mean == pytest.approx(7 / 3 * size)


@pytest.mark.parametrize("runs", [1, 4])
def test_what_comes_next_lies_within_the_prediction_interval_as_often_as_it_says(runs: int) -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        found = spread(generator.normal(10, 2, 6).tolist())
        assert found is not None
        low, high = prediction_interval(found, runs=runs)
        inside += low <= generator.normal(10, 2, runs).mean() <= high
    assert abs(inside / 4000 - 0.95) < 4 * (0.95 * 0.05 / 4000) ** 0.5
