"""Mean and standard deviation over seeds, against numpy; rounding errors; prediction intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.spreads import prediction_interval, spread


@pytest.mark.parametrize("values", [[0.5, 0.7], [1.0, 1.0, 1.0], [0.1, 0.2, 0.4, 0.45, 3.0]])
def test_mean_and_sample_standard_deviation_equal_numpy(values: list[float]) -> None:
    result = spread(values)
    assert result is not None and result.n == len(values)
    assert result.mean == pytest.approx(np.mean(values))
    assert result.std == pytest.approx(np.std(values, ddof=1))


def test_one_value_has_no_deviation_and_no_values_give_none() -> None:
    one = spread([0.3])
    assert one is not None and one.std is None and one.mean == 0.3
    assert spread([]) is None


@given(st.floats(-1e6, 1e6, allow_subnormal=False), st.integers(2, 50))
def test_equal_values_have_deviation_0(value: float, n: int) -> None:
    """In floating point, the mean of ten times 0.47 is not 0.47; ``spread`` corrects this."""
    result = spread([value] * n)
    assert result is not None and (result.mean, result.std) == (value, 0.0)


@pytest.mark.parametrize("size", [1e-300, 1e-90, 1.0, 1e200, 1e307])
def test_values_of_any_magnitude_do_not_overflow(size: float) -> None:
    result = spread([1 * size, 2 * size, 4 * size])
    assert result is not None and result.std == pytest.approx(np.std([1, 2, 4], ddof=1) * size)
    assert result.mean == pytest.approx(7 / 3 * size)


@pytest.mark.parametrize("runs", [1, 4])
def test_prediction_interval_has_the_stated_coverage(runs: int) -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(4000):
        result = spread(generator.normal(10, 2, 6).tolist())
        assert result is not None
        low, high = prediction_interval(result, runs=runs)
        covered += low <= generator.normal(10, 2, runs).mean() <= high
    assert abs(covered / 4000 - 0.95) < 4 * (0.95 * 0.05 / 4000) ** 0.5
