"""Whether two means differ: t tests, and several of them at once."""

import math
from collections.abc import Sequence

from bench.stats.spreads import LEVEL, ROUNDING, Spread


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of several tests reject, so that the chance of any false one stays below ``level`` (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def standard_error(sides: Sequence[Spread]) -> tuple[float | None, float]:
    """Of the difference, and Welch's degrees of freedom (Welch 1947); None if no side has a spread."""
    errors = [(side.std / math.sqrt(side.n), side.n - 1) for side in sides if side.std is not None]
    if not errors:
        return None, 0.0
    total = math.hypot(*(error for error, _ in errors))
    if total == 0:
        return 0.0, float(sum(n for _, n in errors))
    return total, 1 / math.fsum((error / total) ** 4 / n for error, n in errors)


def welch_p_value(one: Spread, other: Spread) -> float | None:
    """That two means are the same: Welch's two-sided t test (Welch 1947); None unless both have a spread."""
    if one.std is None or other.std is None:
        return None
    error, freedom = standard_error([one, other])
    difference = abs(one.mean - other.mean)
    if difference <= ROUNDING * max(abs(one.mean), abs(other.mean)):
        return 1.0
    if not error:  # no spread at all, and not the same number
        return 0.0
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
