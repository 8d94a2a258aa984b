"""Means, spreads, intervals and tests over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

LEVEL = 0.05
QUADRATURE = 2000

Outcome = Literal["same", "different", "unknown"]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (ddof = 1) of ``n`` values; ``std`` is None when n < 2."""

    mean: float
    std: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """The mean and sample standard deviation of ``values``; None for no values, never 0."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)), n)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``n`` paired differences and its 95 % interval; no interval when n < 2."""

    mean: float
    low: float | None
    high: float | None
    n: int


def paired_difference(values: Sequence[float], others: Sequence[float]) -> PairedDifference | None:
    """``values - others``, pair by pair, with Student's interval of the mean; None for no pairs.

    Raises:
        ValueError: If the two are of different lengths.
    """
    differences = spread([value - other for value, other in zip(values, others, strict=True)])
    if differences is None:
        return None
    if differences.std is None:
        return PairedDifference(differences.mean, None, None, 1)
    from scipy.special import stdtrit  # the t quantile alone: scipy.stats takes a second to import

    half = float(stdtrit(differences.n - 1, 0.975)) * differences.std / math.sqrt(differences.n)
    return PairedDifference(differences.mean, differences.mean - half, differences.mean + half, differences.n)


def paired_by_seed(values: Mapping[int, float], others: Mapping[int, float]) -> PairedDifference | None:
    """The same of values by seed, over the seeds that both have."""
    seeds = sorted(values.keys() & others.keys())
    return paired_difference([values[seed] for seed in seeds], [others[seed] for seed in seeds])


def prediction_interval(of: Spread, level: float = 1 - LEVEL) -> tuple[float, float]:
    """Where another value may be expected: mean ± t · std · √(1 + 1/n).

    Raises:
        ValueError: If there is no spread.
    """
    if of.std is None:
        raise ValueError("a single value has no spread")
    from scipy.special import stdtrit

    half = float(stdtrit(of.n - 1, (1 + level) / 2)) * of.std * math.sqrt(1 + 1 / of.n)
    return of.mean - half, of.mean + half


@dataclass(frozen=True)
class Equivalence:
    """The difference of two means and what it says.

    That a difference is not significant does not show that there is none. Two means are called the same if the
    data rule out, at the 5 % level, that they differ by the margin or more: two one-sided t tests (Schuirmann
    1987), with Welch's degrees of freedom where both sides have a spread.
    """

    outcome: Outcome
    difference: float
    low: float | None  # of the 90 % interval that the two one-sided tests amount to; None without a spread
    high: float | None
    margin: float
    power: float | None  # how likely these numbers of runs say `same` when there is no difference at all


def equivalence(measured: Spread, claimed: Spread, margin: float) -> Equivalence:
    """Compare two means.

    Args:
        measured: Ours, over seeds.
        claimed: Theirs. Without a spread it is a number without an error, and the question is whether our mean is
            within ``margin`` of it.
        margin: What is still the same, above 0, in the unit of the means.

    Raises:
        ValueError: If ``margin`` is not above 0.
    """
    if margin <= 0:
        raise ValueError(f"`margin` is {margin}; it must be above 0")
    difference = measured.mean - claimed.mean
    error, freedom = _standard_error([measured, claimed])
    if error is None:
        return Equivalence("unknown", difference, None, None, margin, None)
    from scipy.special import stdtrit  # the t quantile alone: scipy.stats takes a second to import

    half = float(stdtrit(freedom, 1 - LEVEL)) * error
    low, high = difference - half, difference + half
    outcome: Outcome = "unknown"
    if -margin < low and high < margin:
        outcome = "same"
    elif low > margin or high < -margin:
        outcome = "different"
    return Equivalence(outcome, difference, low, high, margin, _power(error, freedom, margin))


def _standard_error(sides: Sequence[Spread]) -> tuple[float | None, float]:
    """Of the difference, and Welch's degrees of freedom (Welch 1947); None if no side has a spread."""
    shares = [(side.std**2 / side.n, side.n - 1) for side in sides if side.std is not None]
    if not shares:
        return None, 0.0
    total = math.fsum(share for share, _ in shares)
    if total == 0:
        return 0.0, float(sum(n for _, n in shares))
    return math.sqrt(total), total**2 / math.fsum(share**2 / n for share, n in shares)


def _power(error: float, freedom: float, margin: float) -> float:
    """The chance that both tests reject when the true difference is 0 and the true error is ``error``.

    The estimated error varies as a chi variable over the root of its degrees of freedom; the integral over it
    is a mean over equally likely values.
    """
    if error == 0:
        return 1.0
    import numpy as np
    from scipy.special import chdtri, ndtr, stdtrit

    chances = (np.arange(QUADRATURE) + 0.5) / QUADRATURE
    estimated = error * np.sqrt(chdtri(freedom, chances) / freedom)
    room = margin - stdtrit(freedom, 1 - LEVEL) * estimated
    return float(np.mean(np.where(room > 0, 2 * ndtr(room / error) - 1, 0.0)))


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of several tests reject, so that the chance of any false one stays below ``level`` (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def welch_p_value(one: Spread, other: Spread) -> float | None:
    """That two means are the same: Welch's two-sided t test (Welch 1947); None unless both have a spread."""
    if one.std is None or other.std is None:
        return None
    error, freedom = _standard_error([one, other])
    difference = abs(one.mean - other.mean)
    if not error:  # no spread at all: they are the same number or they are not
        return 1.0 if difference == 0 else 0.0
    return student_tails(difference / error, freedom)


def student_tails(t: float, freedom: float) -> float:
    """The chance that a t variable is further from 0 than ``t``.

    It is the regularised incomplete beta function at ν/(ν + t²) with ν/2 and 1/2 (DLMF 8.17), which scipy has too:
    but every table with bold figures needs it, and importing ``scipy.special`` takes longer than all the rest.
    """
    x = freedom / (freedom + t * t)
    a, b = freedom / 2, 0.5
    if x < (a + 1) / (a + b + 2):
        return _beta_share(x, a, b)
    return 1 - _beta_share(t * t / (freedom + t * t), b, a)


def _beta_share(x: float, a: float, b: float) -> float:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated forwards as Lentz did (Lentz 1976)."""
    if x <= 0:
        return 0.0
    log_front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    log_front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    fraction, ratio, inverse = 1.0, 1.0, 0.0
    for n in range(10_000):
        m = n // 2
        if n == 0:
            term = 1.0
        elif n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        inverse = 1 / (1 + term * inverse)
        ratio = 1 + term / ratio
        step = ratio * inverse
        fraction *= step
        if n and abs(step - 1) < 1e-15:
            break
    return math.exp(log_front) * (fraction - 1)


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and its interval of at least 95 % whatever the distribution: two of the values themselves.

    As many values as a fair coin would all but surely (97.5 %) show heads are left out at either end (the sign
    test turned round; Conover 1999, section 3.2).

    Raises:
        ValueError: For fewer than six values, of which no two enclose the median so surely.
    """
    n = len(values)
    if n < 6:
        raise ValueError(f"{n} values; an interval of the median needs at least 6")
    from scipy.special import bdtr

    ordered = sorted(values)
    left_out = next(k for k in range(n) if bdtr(k, n, 0.5) > LEVEL / 2) - 1
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return middle, ordered[left_out], ordered[n - 1 - left_out]
