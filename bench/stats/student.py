"""Tests of the difference of two means: Welch's t test, t tail probabilities, correction for multiple tests."""

import math
from collections.abc import Sequence

from bench.stats.spreads import LEVEL, ROUNDING, Spread


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return the rejections of several tests with a family-wise error rate of at most ``level`` (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def standard_error(samples: Sequence[Spread]) -> tuple[float | None, float]:
    """Return the standard error of the difference of two means, and Welch's degrees of freedom (Welch 1947).

    A sample without a standard deviation counts as exact. The error is None if no sample has one.
    """
    errors = [(sample.std / math.sqrt(sample.n), sample.n - 1) for sample in samples if sample.std is not None]
    if not errors:
        return None, 0.0
    total = math.hypot(*(error for error, _ in errors))
    if total == 0:
        return 0.0, float(sum(n for _, n in errors))
    return total, 1 / math.fsum((error / total) ** 4 / n for error, n in errors)


def welch_p_value(one: Spread, other: Spread) -> float | None:
    """Return the p-value of Welch's two-sided t test of equal means (Welch 1947).

    None unless both samples have a standard deviation.
    """
    if one.std is None or other.std is None:
        return None
    error, freedom = standard_error([one, other])
    difference = abs(one.mean - other.mean)
    if difference <= ROUNDING * max(abs(one.mean), abs(other.mean)):
        return 1.0
    if not error:  # both standard deviations are 0 and the means differ
        return 0.0
    return student_tails(difference / error, freedom)


def student_tails(t: float, freedom: float) -> float:
    """Return the two-sided tail probability of Student's t: P(|T| > ``t``).

    This is the regularised incomplete beta function I_x(ν/2, 1/2) at x = ν/(ν + t²) (DLMF 8.17). scipy has it too,
    but every table with bold values needs it, and importing ``scipy.special`` takes longer than making the table.
    """
    x = freedom / (freedom + t * t)
    a, b = freedom / 2, 0.5
    if x < (a + 1) / (a + b + 2):
        return _regularised_beta(x, a, b)
    return 1 - _regularised_beta(t * t / (freedom + t * t), b, a)


def _regularised_beta(x: float, a: float, b: float) -> float:
    """Return I_x(a, b) by its continued fraction (DLMF 8.17.22), with Lentz's forward evaluation (Lentz 1976)."""
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
