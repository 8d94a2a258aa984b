"""Equivalence tests against scipy's t tests and against simulation; Holm against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.stats import LEVEL, Spread, equivalence, holm, spread


def drawn(n: int, seed: int, mean: float = 0.0, deviation: float = 1.0) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, deviation, n))


def of(values: list[float]) -> Spread:
    found = spread(values)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(20))
def test_two_one_sided_tests_by_scipy(seed: int) -> None:
    ours, theirs, margin = drawn(5, seed, 0.2), drawn(8, seed + 100, 0.0, 1.7), 1.5
    above = stats.ttest_ind(np.add(ours, margin), theirs, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(np.subtract(ours, margin), theirs, equal_var=False, alternative="less").pvalue
    assert (equivalence(of(ours), of(theirs), margin).outcome == "same") == (max(above, below) < LEVEL)
    fixed = [
        stats.ttest_1samp(ours, 0.3 + shift, alternative=side).pvalue
        for shift, side in ((-margin, "greater"), (margin, "less"))
    ]
    assert (equivalence(of(ours), Spread(0.3, None, 1), margin).outcome == "same") == (max(fixed) < LEVEL)


def test_the_three_outcomes() -> None:
    claim = Spread(50.0, None, 1)
    assert equivalence(Spread(50.2, 0.5, 5), claim, 2.0).outcome == "same"
    assert equivalence(Spread(55.0, 0.5, 5), claim, 2.0).outcome == "different"
    assert equivalence(Spread(45.0, 0.5, 5), claim, 2.0).outcome == "different"
    assert equivalence(Spread(52.0, 0.5, 5), claim, 2.0).outcome == "unknown"
    assert equivalence(Spread(50.0, 9.0, 3), claim, 2.0).outcome == "unknown"


def test_one_run_says_nothing() -> None:
    found = equivalence(Spread(50.0, None, 1), Spread(50.0, None, 1), 2.0)
    assert (found.outcome, found.low, found.power) == ("unknown", None, None)


def test_runs_without_any_spread() -> None:
    found = equivalence(Spread(1.0, 0.0, 3), Spread(1.5, None, 1), 1.0)
    assert (found.outcome, found.low, found.high, found.power) == ("same", -0.5, -0.5, 1.0)


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_a_margin_is_above_0(margin: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        equivalence(Spread(1, 1, 3), Spread(1, 1, 3), margin)


@pytest.mark.parametrize(("n", "margin"), [(3, 2.0), (3, 4.0), (5, 1.5), (10, 1.0)])
def test_power_is_how_often_no_difference_is_called_the_same(n: int, margin: float) -> None:
    """Of 4,000 simulated experiments without a difference, at the true spread of 1."""
    rng = np.random.default_rng(n)
    claim = Spread(0.0, None, 1)
    same = np.mean(
        [equivalence(of(list(rng.normal(0, 1, n))), claim, margin).outcome == "same" for _ in range(4000)]
    )
    exact = equivalence(Spread(0.0, 1.0, n), claim, margin).power
    assert exact == pytest.approx(same, abs=0.03)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm(p_values: list[float]) -> None:
    found = holm(p_values)
    assert len(found) == len(p_values)
    # The definition: the k-th smallest is compared with level / (m - k + 1), up to the first that fails.
    expected, ordered = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
    for k, index in enumerate(ordered):
        if p_values[index] > LEVEL / (len(p_values) - k):
            break
        expected.add(index)
    assert {index for index, rejected in enumerate(found) if rejected} == expected
    assert sum(found) >= sum(p <= LEVEL / max(1, len(p_values)) for p in p_values)  # never fewer than Bonferroni
