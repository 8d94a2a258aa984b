"""The median, and how far it can be trusted."""

from collections.abc import Sequence

from bench.stats.spreads import LEVEL


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
