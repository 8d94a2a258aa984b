"""The median and its confidence interval."""

from collections.abc import Sequence

from bench.stats.spreads import LEVEL


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and the bounds of its distribution-free interval of at least 95 %.

    The bounds are two of the values. The number of values outside each bound follows from the binomial
    distribution with p = 1/2: at each end, the error probability is at most 2.5 % (inverted sign test; Conover
    1999, section 3.2).

    Raises:
        ValueError: For fewer than six values, since even the smallest and the largest then cover less than 95 %.
    """
    n = len(values)
    if n < 6:
        raise ValueError(f"{n} values; an interval of the median needs at least 6")
    from scipy.special import bdtr

    ordered = sorted(values)
    outside = next(k for k in range(n) if bdtr(k, n, 0.5) > LEVEL / 2) - 1
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return median, ordered[outside], ordered[n - 1 - outside]
