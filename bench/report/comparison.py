"""Rows beside one another: a table for every protocol, which columns it has, and what is best in each."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bench.contract.tracks import OFFICIAL, Protocol
from bench.report.best import best_rows
from bench.report.columns import Column, check_keys, columns_of, common_conditions
from bench.report.summary import Row, RowKey
from bench.report.tables import NOTHING, data_text

MakeColumns = Callable[[Sequence[Row]], list[Column]]  # rows of one protocol -> further columns


@dataclass(frozen=True)
class Comparison:
    """The table of one protocol."""

    rows: list[Row]  # sorted; at least one
    columns: list[Column]
    best: dict[str, set[RowKey]]  # column -> the rows that share its first place
    fingerprints: str = ""  # of its data, where another table has the same protocol on other data

    @property
    def protocol(self) -> Protocol:
        """Of all its rows."""
        return self.rows[0].first.protocol

    @property
    def subject(self) -> str:
        """What was run."""
        protocol = self.protocol
        data = data_text(self.rows[0].first) + (f" ({self.fingerprints})" if self.fingerprints else "")
        return f"{protocol.track}, {protocol.profile}: {data}, {protocol.steps:,} steps"

    @property
    def title(self) -> str:
        """What was run, and what speeds were measured on if it is one device."""
        device = common_conditions(self.rows)
        return self.subject + ("" if device is None else f"; images/s on {device}")


def comparisons(
    rows: Sequence[Row],
    *,
    keys: Sequence[str] | None = None,
    sort: str = "score",
    more: Sequence[MakeColumns] = (),
) -> list[Comparison]:
    """A table for every protocol in ``rows``, by track, the official one first.

    Never two protocols in one table, nor two sets of data that go by one name.

    Args:
        rows: In any order.
        keys: The columns, in order; None for the usual ones.
        sort: The column to sort by, the best first; with ``-`` in front the other way round.
        more: What makes further columns, such as differences.

    Raises:
        UsageError: If no row has a column of such a name.
    """
    ordered = sorted(rows, key=_protocol_key)
    groups = [list(group) for _, group in groupby(ordered, key=_protocol_key)]
    check_keys(groups, [*(keys or ()), sort.removeprefix("-")])
    sets = Counter(group[0].key.protocol for group in groups)
    return [_comparison(group, keys, sort, more, by_data=sets[group[0].key.protocol] > 1) for group in groups]


def _protocol_key(row: Row) -> tuple[Any, ...]:
    protocol = row.first.protocol
    return (protocol.track, protocol.profile != OFFICIAL, protocol.profile, protocol.hash, row.key.data)


def _comparison(
    group: list[Row], keys: Sequence[str] | None, sort: str, more: Sequence[MakeColumns], *, by_data: bool
) -> Comparison:
    columns = columns_of(group, keys)
    # Beside the paper's figure, or at the end of what was asked for.
    at = len(columns) if keys is not None else [column.key for column in columns].index("steps")
    columns[at:at] = [column for make in more for column in make(group)]
    (key,) = columns_of(group, [sort.removeprefix("-")])
    group = _sorted(group, key, backwards=sort.startswith("-"))
    columns = [c for c in columns if not c.optional or any(c.text(row) != NOTHING for row in group)]
    fingerprints = ", ".join(f"{part} {print_[:8]}" for part, print_ in group[0].key.data) if by_data else ""
    return Comparison(group, columns, {c.key: best_rows(c, group) for c in columns}, fingerprints)


def _sorted(rows: list[Row], column: Column, *, backwards: bool) -> list[Row]:
    """Rows without a value stay last either way."""
    with_value = [row for row in rows if column.value(row) is not None]
    rest = [row for row in rows if column.value(row) is None]
    return [*sorted(with_value, key=column.order, reverse=backwards), *sorted(rest, key=lambda row: row.label)]
