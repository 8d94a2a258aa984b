"""Compare our runs with a published figure; there are four outcomes.

*Reproduced*: our estimate of the expected result of the paper's procedure is equivalent to the claim within a
margin, by two one-sided t tests at 5 % (Schuirmann 1987). *Consistent*: equivalence is not shown, but the claim
lies within the 95 % prediction interval of one more experiment of ours. *Not reproduced*: the claim lies outside
the prediction interval, and the 90 % interval of the difference lies beyond the margin. *Inconclusive*: none of
these can be shown. A difference that is not significant is never taken as evidence of equality.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.stats.best_of import estimated_deviations, expected_best, predicted_best
from bench.stats.spreads import LEVEL, Spread, prediction_interval
from bench.stats.student import standard_error

Outcome = Literal["reproduced", "consistent", "not reproduced", "inconclusive"]


@dataclass(frozen=True)
class PublishedValue:
    """A published figure: of one run, the mean of several runs, or the best of several selected by this figure."""

    value: float
    runs: int = 1  # number of runs that were averaged
    std: float | None = None  # standard deviation over these runs
    best_of: int = 1  # number of runs of which only the best is reported
    lower_is_better: bool = False


@dataclass(frozen=True)
class ClaimJudgement:
    """The judgement of a claim from our runs; intervals and power are None if there is no standard deviation."""

    outcome: Outcome
    ours: float  # our mean, or our estimate of the best of `best_of` runs
    difference: float  # ours minus the claim
    low: float | None = None  # lower end of the 90 % interval of the difference, equivalent to the two tests
    high: float | None = None
    expected_low: float | None = None  # lower end of the 95 % prediction interval of our next such experiment
    expected_high: float | None = None
    power: float | None = None  # probability of `reproduced` with this many seeds if the true difference is 0


@dataclass(frozen=True)
class _ErrorDistribution:
    """The distribution of our estimation error; bounds of an interval are mean - ``quantile`` · ``scale``."""

    scale: float  # standard error of our mean, or of the difference of means
    freedom: float  # degrees of freedom
    shift: float = 0.0  # distance of the estimated quantity above the mean, in standard errors

    def quantile(self, chance: float) -> float:
        """Return a quantile of Student's t, or of the noncentral t if ``shift`` is not 0 (Owen 1968)."""
        from scipy.special import nctdtrit, stdtrit

        if self.shift == 0:
            return float(stdtrit(self.freedom, chance))
        return float(nctdtrit(self.freedom, -self.shift, chance))


def judge_claim(measured: Spread, claim: PublishedValue, margin: float) -> ClaimJudgement:
    """Compare our runs with a claim.

    Args:
        measured: Our runs, over seeds.
        claim: The published figure.
        margin: The largest difference that still counts as equal, above 0, in the unit of the figures.

    Raises:
        ValueError: If ``margin`` is not above 0.
    """
    if margin <= 0:
        raise ValueError(f"`margin` is {margin}; it must be above 0")
    if measured.std is None:
        return ClaimJudgement("inconclusive", measured.mean, measured.mean - claim.value)
    sign = -1 if claim.lower_is_better and claim.best_of > 1 else 1  # below, the best is always the largest value
    ours = Spread(sign * measured.mean, measured.std, measured.n)
    errors = _error_distribution(ours, claim)
    estimate, *bounds = (ours.mean - errors.quantile(chance) * errors.scale for chance in (0.5, 1 - LEVEL, LEVEL))
    low, high = sorted(sign * bound - claim.value for bound in bounds)
    expected_low, expected_high = sorted(sign * bound for bound in _expected(ours, claim, errors))
    within = expected_low <= claim.value <= expected_high
    return ClaimJudgement(
        _outcome(low, high, margin, within=within),
        sign * estimate,
        sign * estimate - claim.value,
        low,
        high,
        expected_low,
        expected_high,
        _power(errors, margin),
    )


def _error_distribution(ours: Spread, claim: PublishedValue) -> _ErrorDistribution:
    assert ours.std is not None
    if claim.best_of > 1:
        return _ErrorDistribution(
            ours.std / math.sqrt(ours.n), ours.n - 1, expected_best(claim.best_of) * math.sqrt(ours.n)
        )
    theirs = Spread(claim.value, claim.std if claim.runs > 1 else None, claim.runs)
    error, freedom = standard_error([ours, theirs])
    assert error is not None
    return _ErrorDistribution(error, freedom)


def _expected(ours: Spread, claim: PublishedValue, errors: _ErrorDistribution) -> tuple[float, float]:
    assert ours.std is not None
    if claim.best_of > 1:
        low, high = (predicted_best(ours.n, claim.best_of, chance) for chance in (LEVEL / 2, 1 - LEVEL / 2))
        return ours.mean + low * ours.std, ours.mean + high * ours.std
    if claim.runs > 1 and claim.std is not None:
        # The error of the difference includes their spread. The smaller of the two degrees of freedom, unlike
        # Welch's, keeps the coverage at 95 % or above.
        half = _ErrorDistribution(errors.scale, min(ours.n, claim.runs) - 1).quantile(1 - LEVEL / 2) * errors.scale
        return ours.mean - half, ours.mean + half
    return prediction_interval(ours, runs=claim.runs)


def _outcome(low: float, high: float, margin: float, *, within: bool) -> Outcome:
    if -margin < low and high < margin:
        return "reproduced"
    if within:
        return "consistent"
    return "not reproduced" if low > margin or high < -margin else "inconclusive"


def _power(errors: _ErrorDistribution, margin: float) -> float:
    """Return the probability of `reproduced` if the true difference is 0 and the true error is ``errors.scale``.

    For each of equally likely values of the estimated standard error, compute the probability that the interval
    lies within the margin; return the mean of these probabilities.
    """
    if errors.scale == 0:
        return 1.0
    from scipy.special import ndtr

    estimated, scaled_margin = estimated_deviations(errors.freedom), margin / errors.scale
    upper = ndtr(errors.shift + scaled_margin + errors.quantile(LEVEL) * estimated)
    lower = ndtr(errors.shift - scaled_margin + errors.quantile(1 - LEVEL) * estimated)
    return float(np.mean(np.maximum(upper - lower, 0)))
