"""Spread over seeds, against numpy."""

import numpy as np
import pytest

from bench.stats import spread


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
