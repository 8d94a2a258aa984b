"""Which rows of a column share the first place: all that no other is shown to be better than."""

from collections.abc import Sequence

from bench.contract.records import REAL_IMAGES
from bench.report.columns import Column
from bench.report.summary import Row, RowKey
from bench.stats.firsts import not_shown_to_be_worse


def takes_part(row: Row) -> bool:
    """Whether a row is in the contest: every seed finished, within its caps, and not the floor."""
    complete = len(row.finished) == len(row.records)
    return complete and not row.outside and row.first.identity.submission != REAL_IMAGES


def best_rows(column: Column, rows: Sequence[Row]) -> set[RowKey]:
    """The rows that share a column's first place; empty where none can be named.

    Args:
        column: Only one with a better end and a figure of each seed has a best.
        rows: Of one protocol.
    """
    if column.better is None or column.by_seed is None:
        return set()
    taking_part = [row for row in rows if takes_part(row)]
    # What keeps all of a table off the ranking, such as a short profile, keeps none of it from being the best.
    reasons = [frozenset(reason for r in row.records for reason in r.unranked_because) for row in taking_part]
    shared = frozenset.intersection(*reasons) if reasons else frozenset()
    values = {
        row.key: found
        for row, own in zip(taking_part, reasons, strict=True)
        if own == shared and (found := column.by_seed(row))
    }
    if len(values) < 2:
        return set()
    return not_shown_to_be_worse(values, higher=column.better == "higher", grain=rows[0].grain)
