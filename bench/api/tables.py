"""Comparisons of submissions, averaged over seeds."""

from collections.abc import Iterable, Sequence
from typing import overload

from bench.contract.records.record import Record
from bench.errors import NothingToDo, UsageError
from bench.report.records.aggregate import summarize
from bench.report.tables.comparison import Comparison, comparisons
from bench.report.tables.render import render


class Comparisons(Sequence[Comparison]):
    """Tables of submissions, one per protocol. ``print`` shows them as text, a notebook as HTML."""

    def __init__(self, tables: Sequence[Comparison]) -> None:
        self._tables = tables

    def __len__(self) -> int:
        return len(self._tables)

    @overload
    def __getitem__(self, index: int) -> Comparison: ...
    @overload
    def __getitem__(self, index: slice) -> "Comparisons": ...
    def __getitem__(self, index: int | slice) -> "Comparison | Comparisons":
        return Comparisons(self._tables[index]) if isinstance(index, slice) else self._tables[index]

    def __repr__(self) -> str:
        return render(self._tables, "simple")

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_markdown(self) -> str:
        """Return the tables as Markdown."""
        return render(self._tables, "markdown")

    def to_html(self) -> str:
        """Return the tables as HTML."""
        return render(self._tables, "html")

    def to_latex(self) -> str:
        """Return the tables as LaTeX, for the package booktabs."""
        return render(self._tables, "latex")

    def to_csv(self) -> str:
        """Return all tables as CSV: one line per row, in full precision."""
        return render(self._tables, "csv")

    def to_json(self) -> str:
        """Return the tables as JSON, in full precision, with the checksums of their records."""
        return render(self._tables, "json")


def compare(
    records: Iterable[Record], *, columns: Iterable[str] | None = None, sort: str = "score"
) -> Comparisons:
    """Compare submissions: one table per protocol, averaged over seeds, with the best of each column marked.

    Args:
        records: Records such as those of ``load_records``.
        columns: Names of columns, metrics (``nll``) or fields of a record (``config.batch_size``); None for the
            default columns.
        sort: The column to sort by, the best first; prefix ``-`` to reverse.

    Returns:
        The tables, sorted by track and profile.

    Raises:
        UsageError: If there is something else than records, or no record has such a column.
        NothingToDo: If there is no record.
    """
    records = list(records)
    if not all(isinstance(record, Record) for record in records):
        raise UsageError("compare: give a list of records, such as that of `bench.load_records`")
    keys = None if columns is None or isinstance(columns, str) else list(columns)
    if columns is not None and not (keys and all(isinstance(key, str) for key in keys)):
        raise UsageError(f"compare: columns={columns!r}: give a list of names")
    rows = summarize(records)
    if not rows:
        raise NothingToDo("compare: no records; `bench.run` makes them")
    return Comparisons(comparisons(rows, keys=keys, sort=sort))
