"""The rows of a column that are marked as best: by tests, or by the mean alone if tests say nothing."""

from collections.abc import Sequence

from bench.contract.manifest import REAL_IMAGES
from bench.report.records.aggregate import Row, RowKey
from bench.report.records.track_data import is_of_tracks_data
from bench.report.tables.columns import Column
from bench.stats.first_places import FirstPlace, first_place


def is_eligible(row: Row) -> bool:
    """Return whether a row can be best: every seed finished here, no cap violation, and not real images."""
    complete = len(row.finished) == len(row.records)
    is_own = all(record.made_here for record in row.records) and is_of_tracks_data(row.representative)
    real_images = row.representative.identity.submission == REAL_IMAGES
    return complete and is_own and not row.cap_violations and not real_images


def best_rows(column: Column, rows: Sequence[Row]) -> FirstPlace[RowKey] | None:
    """Return the rows that share first place in a column; None if none is marked.

    Args:
        column: The column; it has a best only if a direction is better and it has values per seed.
        rows: Rows of one protocol.
    """
    if column.better is None or column.by_seed is None:
        return None
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
        return None
    place = first_place(values, higher=column.better == "higher", grain=rows[0].grain(column.metric))
    return place if place.names else None
