"""Comparison tables, one per protocol: their columns, their order and the best value per column."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from bench.contract.tracks import OFFICIAL, Protocol
from bench.report.records.aggregate import Row, RowKey
from bench.report.tables.columns import Column, check_keys, columns_of, common_conditions
from bench.report.tables.significance import best_rows
from bench.report.tables.table import Cell, Table
from bench.report.tables.text import MISSING, data_text
from bench.stats.first_places import Basis

MakeColumns = Callable[[Sequence[Row]], list[Column]]  # rows of one protocol -> additional columns


@dataclass(frozen=True)
class ComparedRow:
    """A row and its cells."""

    row: Row
    cells: dict[str, Cell]  # column key -> cell


@dataclass(frozen=True)
class Comparison:
    """The comparison table of one protocol."""

    rows: list[ComparedRow]  # sorted; at least one
    columns: list[Column]
    fingerprints: str = ""  # of the data; empty unless another table has the same protocol on other data
    marked: dict[str, Basis] = field(default_factory=dict)  # column with best values -> what decides them

    @property
    def protocol(self) -> Protocol:
        """The common protocol of all rows."""
        return self.rows[0].row.representative.protocol

    @property
    def subject(self) -> str:
        """The track, profile, data and steps."""
        protocol, data = self.protocol, data_text(self.rows[0].row.representative)
        data += f" ({self.fingerprints})" if self.fingerprints else ""
        return f"{protocol.track}, {protocol.profile}: {data}, {protocol.steps:,} steps"

    @property
    def title(self) -> str:
        """The subject, followed by the device if the table has speeds and all were measured on the same one."""
        device = common_conditions(item.row for item in self.rows)
        has_speed = any(column.key == "images_per_s" for column in self.columns)
        return self.subject + (f"; inference on {device}" if has_speed and device is not None else "")

    def table(self, keys: Sequence[str] | None = None) -> Table:
        """Return the cells with their column titles; with ``keys`` only those columns."""
        columns = [column for column in self.columns if keys is None or column.key in keys]
        cells = [[item.cells[column.key] for column in columns] for item in self.rows]
        return Table([column.title for column in columns], cells, self.title if keys is None else self.subject)


def comparisons(
    rows: Sequence[Row],
    *,
    keys: Sequence[str] | None = None,
    sort: str = "score",
    extra_columns: Sequence[MakeColumns] = (),
) -> list[Comparison]:
    """Return one table per protocol, sorted by track, the official profile first.

    No table mixes two protocols, nor two versions of a data set.

    Args:
        rows: In any order.
        keys: The columns, in order; None for the default ones.
        sort: The column to sort by, the best first; prefix ``-`` to reverse.
        extra_columns: Functions that return additional columns, such as differences.

    Raises:
        UsageError: If no row has a column of that name.
    """
    ordered = sorted(rows, key=_protocol_key)
    groups = [list(group) for _, group in groupby(ordered, key=_protocol_key)]
    check_keys(groups, [*(keys or ()), sort.removeprefix("-")])
    data_sets = Counter(group[0].key.protocol for group in groups)
    return [
        _comparison(group, keys, sort, extra_columns, by_data=data_sets[group[0].key.protocol] > 1)
        for group in groups
    ]


def _protocol_key(row: Row) -> tuple[Any, ...]:
    protocol = row.representative.protocol
    return (protocol.track, protocol.profile != OFFICIAL, protocol.profile, protocol.hash, row.key.data)


def _comparison(
    group: list[Row], keys: Sequence[str] | None, sort: str, extra_columns: Sequence[MakeColumns], *, by_data: bool
) -> Comparison:
    columns = columns_of(group, keys)
    # Next to the paper's value, or after the requested columns.
    position = len(columns) if keys is not None else [column.key for column in columns].index("steps")
    columns[position:position] = [column for make in extra_columns for column in make(group)]
    (sort_column,) = columns_of(group, [sort.removeprefix("-")])
    rows = [ComparedRow(row, {column.key: cell_of(column, row) for column in columns}) for row in group]
    rows = _sorted(rows, sort_column, reverse=sort.startswith("-"))
    columns = [c for c in columns if not c.optional or any(item.cells[c.key].text != MISSING for item in rows)]
    fingerprints = (
        ", ".join(f"{split} {fingerprint[:8]}" for split, fingerprint in group[0].key.data) if by_data else ""
    )
    places = {column.key: best_rows(column, [item.row for item in rows]) for column in columns}
    best = {key: place for key, place in places.items() if place is not None}
    rows = [_with_best(item, {key: place.names for key, place in best.items()}) for item in rows]
    return Comparison(rows, columns, fingerprints, {key: place.basis for key, place in best.items()})


def cell_of(column: Column, row: Row) -> Cell:
    """Return the cell of a row in a column."""
    return Cell(column.text(row), column.value(row), is_head=column.key == "submission")


def _with_best(item: ComparedRow, best: Mapping[str, frozenset[RowKey]]) -> ComparedRow:
    """Mark the cells of the columns in which the row is one of the best."""
    cells = {key: replace(cell, best=item.row.key in best.get(key, ())) for key, cell in item.cells.items()}
    return replace(item, cells=cells)


def _sorted(rows: list[ComparedRow], column: Column, *, reverse: bool) -> list[ComparedRow]:
    """Sort best first, or ascending if neither direction is better; rows without a value always come last."""
    sign = -1 if column.better == "higher" else 1
    keyed = [(item.cells.get(column.key) or cell_of(column, item.row), item) for item in rows]

    def order(pair: tuple[Cell, ComparedRow]) -> tuple[Any, ...]:
        cell, item = pair
        # Numbers before texts, which a field of the config may have in other rows.
        key = (1, str(cell.value)) if cell.number is None else (0, sign * cell.number)
        return (*key, item.row.label)

    with_value = sorted((pair for pair in keyed if pair[0].value is not None), key=order, reverse=reverse)
    without = sorted((pair for pair in keyed if pair[0].value is None), key=lambda pair: pair[1].row.label)
    return [item for _, item in (*with_value, *without)]
