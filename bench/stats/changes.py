"""Decide whether a metric has become worse by more than a limit; without evidence either way it stays open."""

from collections.abc import Mapping
from typing import Literal

from bench.stats.pairs import paired_by_seed
from bench.stats.spreads import LEVEL

Change = Literal["within", "beyond", "open"]


def change_within(low: float | None, high: float | None, allowed: float) -> Change:
    """Compare the confidence interval of a worsening with the limit.

    Args:
        low: One-sided lower bound of the worsening; None if unknown.
        high: One-sided upper bound; None if unknown.
        allowed: The limit, at least 0, in the same unit.

    Returns:
        "within" if the whole interval is at or below the limit, "beyond" if all of it is above, else "open".
    """
    if low is None or high is None:
        return "open"
    if high <= allowed:
        return "within"
    return "beyond" if low > allowed else "open"


def worsening_within(worse: Mapping[int, float], allowed: Mapping[int, float]) -> Change:
    """Compare the mean worsening over seeds with the limit, by one-sided paired t bounds at 5 % each.

    At most 5 % of regressions beyond the limit pass, and at most 5 % of changes below it fail.

    Args:
        worse: Seed -> worsening.
        allowed: Seed -> limit.
    """
    excess = paired_by_seed(worse, allowed, level=1 - 2 * LEVEL)
    if excess is None:
        return "open"
    # Subtracting scores leaves rounding errors; they are not an excess.
    size = max((abs(value) for value in (*worse.values(), *allowed.values())), default=0.0)
    low, high = (None if end is None or abs(end) > 1e-12 * size else 0.0 for end in (excess.low, excess.high))
    return change_within(excess.low if low is None else low, excess.high if high is None else high, 0.0)
