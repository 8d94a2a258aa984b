"""Is something worse by more than is allowed? Nothing passes, and nothing fails, that the data do not show."""

from collections.abc import Mapping
from typing import Literal

from bench.stats.pairs import paired_by_seed
from bench.stats.spreads import LEVEL

Change = Literal["within", "beyond", "open"]


def change_within(low: float | None, high: float | None, allowed: float) -> Change:
    """Whether a worsening, of which an interval is known, stays within what is allowed.

    Args:
        low: A one-sided lower bound of how much worse it is; None where none is known.
        high: An upper bound.
        allowed: At least 0, in the same unit.
    """
    if low is None or high is None:
        return "open"
    if high <= allowed:
        return "within"
    return "beyond" if low > allowed else "open"


def worsening_within(worse: Mapping[int, float], allowed: Mapping[int, float]) -> Change:
    """The same of how much worse each seed has become: bounds of the mean at 5 % each (paired t).

    A regression of more than is allowed passes 5 % of the time at most, one of less fails as rarely.

    Args:
        worse: Seed -> by how much.
        allowed: Seed -> how much may be.
    """
    found = paired_by_seed(worse, allowed, level=1 - 2 * LEVEL)
    if found is None:
        return "open"
    # What subtracting scores has left is no excess.
    size = max((abs(value) for value in (*worse.values(), *allowed.values())), default=0.0)
    low, high = (None if end is None or abs(end) > 1e-12 * size else 0.0 for end in (found.low, found.high))
    return change_within(found.low if low is None else low, found.high if high is None else high, 0.0)
