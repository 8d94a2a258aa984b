"""Which rows of a column share the first place: the best, and all that are not shown to be worse.

Every other row is tested against the best one (Welch), and Holm's procedure keeps the chance that any of them is
called worse by mistake at 5 %. A row of a single seed has no spread and cannot be tested: it is never called best,
and where it leads, no row is.
"""

from collections.abc import Sequence

from bench.contract.records import REAL_IMAGES
from bench.report.columns import Column
from bench.report.summary import Row
from bench.stats import Spread, holm, welch_p_value


def takes_part(row: Row) -> bool:
    """Whether a row is in the contest: every seed finished, within its caps, and not the floor."""
    complete = len(row.finished) == len(row.records)
    return complete and not row.outside and row.first.identity.submission != REAL_IMAGES


def best_rows(column: Column, rows: Sequence[Row]) -> set[str]:
    """The labels of the rows that share a column's first place; empty where none can be named.

    Args:
        column: Only one with a better end has a best.
        rows: Of one protocol.
    """
    found = {row.label: column.value(row) for row in rows if takes_part(row)}
    values = {label: value for label, value in found.items() if isinstance(value, Spread)}
    if column.better is None or len(values) < 2:
        return set()
    pick = max if column.better == "higher" else min
    leader = pick(values, key=lambda label: values[label].mean)
    if values[leader].std is None:
        return set()
    tested: dict[str, float] = {}
    for label, value in values.items():
        p_value = welch_p_value(value, values[leader])
        if label != leader and p_value is not None:
            tested[label] = p_value
    worse = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {leader} | {label for label in tested if not worse[label]}
