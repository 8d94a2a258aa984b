"""Verdicts on published values: against scipy's t tests, the noncentral t, and simulations of each rule."""

import numpy as np
import pytest
from scipy import integrate, stats

from bench.stats.best_of import expected_best, predicted_best
from bench.stats.claims import PublishedValue, judge_claim
from bench.stats.spreads import LEVEL, Spread, prediction_interval, spread


def drawn(n: int, seed: int, mean: float = 0.0, deviation: float = 1.0) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, deviation, n))


def spread_of(values: list[float]) -> Spread:
    result = spread(values)
    assert result is not None
    return result


@pytest.mark.parametrize("seed", range(20))
def test_reproduced_equals_two_one_sided_tests_of_scipy(seed: int) -> None:
    ours, theirs, margin = drawn(5, seed, 0.2), drawn(8, seed + 100, 0.0, 1.7), 1.5
    above = stats.ttest_ind(np.add(ours, margin), theirs, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(np.subtract(ours, margin), theirs, equal_var=False, alternative="less").pvalue
    published_mean = PublishedValue(spread_of(theirs).mean, runs=8, std=spread_of(theirs).std)
    assert (judge_claim(spread_of(ours), published_mean, margin).outcome == "reproduced") == (
        max(above, below) < LEVEL
    )
    fixed = [
        stats.ttest_1samp(ours, 0.3 + shift, alternative=side).pvalue
        for shift, side in ((-margin, "greater"), (margin, "less"))
    ]
    assert (judge_claim(spread_of(ours), PublishedValue(0.3), margin).outcome == "reproduced") == (
        max(fixed) < LEVEL
    )


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (Spread(50.2, 0.5, 5), "reproduced"),
        (Spread(55.0, 0.5, 5), "not reproduced"),
        (Spread(45.0, 0.5, 5), "not reproduced"),
        (Spread(52.0, 0.5, 5), "inconclusive"),  # not in the prediction interval, perhaps within the margin
        (Spread(50.0, 9.0, 3), "consistent"),
        (Spread(51.5, 1.0, 5), "consistent"),
        (Spread(56.0, 9.0, 2), "consistent"),
        (Spread(50.0, None, 1), "inconclusive"),
    ],
)
def test_measured_values_give_the_four_outcomes(measured: Spread, outcome: str) -> None:
    assert judge_claim(measured, PublishedValue(50.0), 2.0).outcome == outcome


def test_one_run_is_inconclusive() -> None:
    verdict = judge_claim(Spread(50.0, None, 1), PublishedValue(50.0), 2.0)
    assert (verdict.outcome, verdict.low, verdict.expected_low, verdict.power) == (
        "inconclusive",
        None,
        None,
        None,
    )


def test_equal_runs_have_an_interval_of_width_0() -> None:
    verdict = judge_claim(Spread(1.0, 0.0, 3), PublishedValue(1.5), 1.0)
    assert (verdict.outcome, verdict.low, verdict.high, verdict.power) == ("reproduced", -0.5, -0.5, 1.0)


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_margin_must_be_positive(margin: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        judge_claim(Spread(1, 1, 3), PublishedValue(1), margin)


def test_prediction_interval_depends_on_the_published_runs() -> None:
    ours = Spread(50.0, 1.0, 5)
    one, mean = (
        judge_claim(ours, PublishedValue(51.0), 2.0),
        judge_claim(ours, PublishedValue(51.0, runs=4), 2.0),
    )
    assert (one.expected_low, one.expected_high) == prediction_interval(ours)
    assert (mean.expected_low, mean.expected_high) == prediction_interval(ours, runs=4)
    theirs = judge_claim(ours, PublishedValue(51.0, runs=4, std=2.0), 2.0)
    half = stats.t.ppf(0.975, 3) * np.sqrt(1 / 5 + 4 / 4)  # the smaller degrees of freedom, of their 4 runs
    assert (theirs.expected_low, theirs.expected_high) == pytest.approx((50 - half, 50 + half))


@pytest.mark.parametrize("k", [2, 3, 10, 100])
def test_expected_best_equals_the_integral(k: int) -> None:
    exact, _ = integrate.quad(lambda x: x * k * stats.norm.pdf(x) * stats.norm.cdf(x) ** (k - 1), -10, 10)
    assert expected_best(k) == pytest.approx(exact, abs=1e-9)
    assert expected_best(1) == 0 and expected_best(2) == pytest.approx(1 / np.sqrt(np.pi))


@pytest.mark.parametrize(("n", "k"), [(2, 2), (3, 19), (5, 100), (20, 5)])
def test_predicted_best_has_the_stated_coverage(n: int, k: int) -> None:
    generator = np.random.default_rng(k)
    ours, best = generator.normal(size=(20_000, n)), generator.normal(size=(20_000, k)).max(axis=1)
    above = (best - ours.mean(axis=1)) / ours.std(axis=1, ddof=1)
    for chance in (0.025, 0.975):
        assert (above < predicted_best(n, k, chance)).mean() == pytest.approx(chance, abs=0.005)
    assert predicted_best(n, 1, 0.975) == pytest.approx(stats.t.ppf(0.975, n - 1) * np.sqrt(1 + 1 / n))


@pytest.mark.parametrize("lower", [False, True])
def test_best_of_k_is_compared_with_our_expected_best_of_k(lower: bool) -> None:
    """The interval of the expected best is from the noncentral t; for FID it is mirrored."""
    n, k, sign = 5, 10, -1 if lower else 1
    verdict = judge_claim(
        Spread(sign * 50.0, 1.0, n), PublishedValue(sign * 51.0, best_of=k, lower_is_better=lower), 3.0
    )
    shift = expected_best(k) * np.sqrt(n)
    low, middle, high = (50 - stats.nct.ppf(c, n - 1, -shift) / np.sqrt(n) for c in (0.95, 0.5, 0.05))
    bounds = sorted(sign * (bound - 51) for bound in (low, high))
    assert (verdict.low, verdict.high) == pytest.approx(bounds, abs=1e-6)
    assert verdict.ours == pytest.approx(sign * middle, abs=1e-6)
    assert verdict.expected_low is not None and verdict.expected_high is not None
    assert verdict.expected_low < verdict.ours < verdict.expected_high


@pytest.mark.parametrize(("n", "margin", "k"), [(3, 2.0, 1), (3, 4.0, 1), (5, 1.5, 1), (10, 1.0, 1), (10, 2.0, 8)])
def test_power_equals_the_simulated_rate_of_reproduced(n: int, margin: float, k: int) -> None:
    """In 4,000 simulated experiments without a difference and with a standard deviation of 1."""
    rng = np.random.default_rng(n)
    claim = PublishedValue(expected_best(k), best_of=k)
    outcomes = [judge_claim(spread_of(list(rng.normal(0, 1, n))), claim, margin).outcome for _ in range(4000)]
    exact = judge_claim(Spread(0.0, 1.0, n), claim, margin).power
    assert exact == pytest.approx(outcomes.count("reproduced") / 4000, abs=0.03)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 1), (20, 1), (3, 19), (10, 50)])
def test_equal_procedure_is_not_reproduced_in_at_most_5_percent(n: int, k: int) -> None:
    rng = np.random.default_rng(1)
    wrong = sum(
        judge_claim(
            spread_of(list(rng.normal(0, 1, n))), PublishedValue(rng.normal(0, 1, k).max(), best_of=k), 0.1
        ).outcome
        == "not reproduced"
        for _ in range(3000)
    )
    assert wrong / 3000 <= 0.05 + 4 * (0.05 * 0.95 / 3000) ** 0.5
