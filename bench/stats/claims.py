"""Does a published figure hold? Our runs against it, with four outcomes.

*Reproduced*: what we expect of the paper's procedure lies within a margin of the claim, by two one-sided t tests
at 5 % (Schuirmann 1987). *Consistent*: that is not shown, but the claim lies where one more experiment of ours
may, within its 95 % prediction interval. *Not reproduced*: it lies outside of that, and by more than the margin.
*Inconclusive*: none of these can be said. That a difference is not significant never counts as evidence of none.
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
class Claimed:
    """A published figure: of one run, the mean of several, or the best of several by this very figure."""

    value: float
    runs: int = 1  # that it is the mean of
    std: float | None = None  # over these
    best_of: int = 1  # runs, of which only the best is reported
    lower_is_better: bool = False


@dataclass(frozen=True)
class Judged:
    """What our runs say of a claim; the intervals are None without a spread."""

    outcome: Outcome
    ours: float  # our mean, or the best that so many runs of ours would give
    difference: float  # ours less the claim
    low: float | None = None  # of the 90 % interval of the difference, which the two tests amount to
    high: float | None = None
    expected_low: float | None = (
        None  # of the 95 % interval in which our next experiment of this kind may be expected
    )
    expected_high: float | None = None
    power: float | None = None  # how likely so many seeds say `reproduced` when there is no difference at all


@dataclass(frozen=True)
class _Error:
    """How far our estimate may be from what it estimates: mean - q · ``error``, q between two quantiles."""

    error: float  # standard, of our mean or of the difference of means
    freedom: float
    shift: float = 0.0  # of what is estimated above the mean, in standard errors

    def quantile(self, chance: float) -> float:
        """Of Student's t, or of the noncentral t where something above the mean is estimated (Owen 1968)."""
        from scipy.special import nctdtrit, stdtrit

        if self.shift == 0:
            return float(stdtrit(self.freedom, chance))
        return float(nctdtrit(self.freedom, -self.shift, chance))


def judge_claim(measured: Spread, claim: Claimed, margin: float) -> Judged:
    """Compare our runs with a claim.

    Args:
        measured: Ours, over seeds.
        claim: Theirs.
        margin: What is still the same, above 0, in the unit of the figures.

    Raises:
        ValueError: If ``margin`` is not above 0.
    """
    if margin <= 0:
        raise ValueError(f"`margin` is {margin}; it must be above 0")
    if measured.std is None:
        return Judged("inconclusive", measured.mean, measured.mean - claim.value)
    sign = -1 if claim.lower_is_better and claim.best_of > 1 else 1  # the best is the largest below
    ours = Spread(sign * measured.mean, measured.std, measured.n)
    spread = _error(ours, claim)
    estimate, *bounds = (ours.mean - spread.quantile(chance) * spread.error for chance in (0.5, 1 - LEVEL, LEVEL))
    low, high = sorted(sign * bound - claim.value for bound in bounds)
    expected_low, expected_high = sorted(sign * bound for bound in _expected(ours, claim, spread))
    within = expected_low <= claim.value <= expected_high
    return Judged(
        _outcome(low, high, margin, within=within),
        sign * estimate,
        sign * estimate - claim.value,
        low,
        high,
        expected_low,
        expected_high,
        _power(spread, margin),
    )


def _error(ours: Spread, claim: Claimed) -> _Error:
    assert ours.std is not None
    if claim.best_of > 1:
        return _Error(ours.std / math.sqrt(ours.n), ours.n - 1, expected_best(claim.best_of) * math.sqrt(ours.n))
    theirs = Spread(claim.value, claim.std if claim.runs > 1 else None, claim.runs)
    error, freedom = standard_error([ours, theirs])
    assert error is not None
    return _Error(error, freedom)


def _expected(ours: Spread, claim: Claimed, spread: _Error) -> tuple[float, float]:
    assert ours.std is not None
    if claim.best_of > 1:
        low, high = (predicted_best(ours.n, claim.best_of, chance) for chance in (LEVEL / 2, 1 - LEVEL / 2))
        return ours.mean + low * ours.std, ours.mean + high * ours.std
    if claim.runs > 1 and claim.std is not None:
        # The error of the difference has theirs; with the fewer of both degrees of freedom, which are not Welch's,
        # the interval never misses too often.
        half = _Error(spread.error, min(ours.n, claim.runs) - 1).quantile(1 - LEVEL / 2) * spread.error
        return ours.mean - half, ours.mean + half
    return prediction_interval(ours, runs=claim.runs)


def _outcome(low: float, high: float, margin: float, *, within: bool) -> Outcome:
    if -margin < low and high < margin:
        return "reproduced"
    if within:
        return "consistent"
    return "not reproduced" if low > margin or high < -margin else "inconclusive"


def _power(spread: _Error, margin: float) -> float:
    """The chance of `reproduced` when the true difference is 0 and the true error is ``spread.error``.

    A mean over equally likely values of the estimated error, of the chance that the mean's own error leaves the
    interval within the margin.
    """
    if spread.error == 0:
        return 1.0
    from scipy.special import ndtr

    estimated, room = estimated_deviations(spread.freedom), margin / spread.error
    upper = ndtr(spread.shift + room + spread.quantile(LEVEL) * estimated)
    lower = ndtr(spread.shift - room + spread.quantile(1 - LEVEL) * estimated)
    return float(np.mean(np.maximum(upper - lower, 0)))
