"""The best rows of a column: those that no other row is significantly better than."""

from collections.abc import Sequence

from bench.contract.manifest import REAL_IMAGES
from bench.report.records.aggregate import Row, RowKey
from bench.report.tables.columns import Column
from bench.stats.first_places import not_shown_to_be_worse


def is_eligible(row: Row) -> bool:
    """Return whether a row can be best: every seed finished, no cap violation, and not real images."""
    complete = len(row.finished) == len(row.records)
    return complete and not row.cap_violations and row.representative.identity.submission != REAL_IMAGES


def best_rows(column: Column, rows: Sequence[Row]) -> set[RowKey]:
    """Return the rows that share first place in a column; empty if there is no valid test.

    Args:
        column: The column; it has a best only if a direction is better and it has values per seed.
        rows: Rows of one protocol.
    """
    if column.better is None or column.by_seed is None:
        return set()
    eligible = [row for row in rows if is_eligible(row)]
    # A reason that all rows share, such as a short profile, is ignored.
    reasons = [frozenset(reason for r in row.records for reason in r.unranked_because) for row in eligible]
    shared = frozenset.intersection(*reasons) if reasons else frozenset()
    values = {
        row.key: by_seed
        for row, row_reasons in zip(eligible, reasons, strict=True)
        if row_reasons == shared and (by_seed := column.by_seed(row))
    }
    if len(values) < 2:
        return set()
    return not_shown_to_be_worse(values, higher=column.better == "higher", grain=rows[0].grain(column.metric))
