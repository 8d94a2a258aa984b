"""Tables for a terminal: names and reasons are shortened and columns are left out until a row fits on a line."""

from dataclasses import replace

from bench.report.tables.comparison import Comparison
from bench.text import beginning

GAP = 2  # blanks between columns
PADDING = 2  # that tabulate adds to a title
SHORTEST = 12  # characters of a name or status
LONGEST_NAME, LONGEST_STATUS = 32, 32  # characters, unless there is room
# Left out first to last; then further metrics, the last one first. What was asked for stays.
LEAST_NEEDED = ("macs", "images_per_s", "steps", "params", "paper")
NEEDED = ("place", "submission", "score", "status", "difference", "verdict", "before", "interval", "without")


def fitted(item: Comparison, width: int) -> tuple[Comparison, list[str]]:
    """Return a table that fits into ``width`` characters if possible, and the titles of the columns left out.

    Names and statuses are shortened, but a table that fits stays as it is.
    """
    if _width(item) <= width:
        return item, []
    short = _shortened(_shortened(item, "submission", LONGEST_NAME), "status", LONGEST_STATUS)
    further = [column.key for column in reversed(item.columns) if column.key not in (*LEAST_NEEDED, *NEEDED)]
    left_out = []
    for key in (*LEAST_NEEDED, *further):
        if _width(short) <= width:
            break
        left_out += [column.title for column in short.columns if column.key == key]
        short = replace(short, columns=[column for column in short.columns if column.key != key])
    for key in ("submission", "status"):  # give them back what is not needed
        kept = {column.key for column in short.columns}
        full = replace(item, columns=[column for column in item.columns if column.key in kept])
        room = max(SHORTEST, width - _width(short) + _column_width(short, key))
        short = _shortened(short, key, room, source=full)
    return short, left_out


def _column_width(item: Comparison, key: str) -> int:
    """Return the width of a column, with the sign of the best values; 0 if there is no such column."""
    titles = [len(column.title) for column in item.columns if column.key == key]
    if not titles:
        return 0
    cells = [compared.cells[key] for compared in item.rows]
    marks = 2 * GAP if any(cell.best for cell in cells) else 0
    return max(titles[0] + PADDING, *(len(cell.text) + marks for cell in cells))


def _width(item: Comparison) -> int:
    return sum(_column_width(item, column.key) + GAP for column in item.columns) - GAP


def _shortened(item: Comparison, key: str, limit: int, source: Comparison | None = None) -> Comparison:
    """Return the table with a column's texts, those of ``source`` if it is given, cut to ``limit`` characters."""
    rows = [
        replace(
            compared,
            cells={
                **compared.cells,
                key: replace(compared.cells[key], text=beginning(original.cells[key].text, limit)),
            },
        )
        if key in compared.cells
        else compared
        for compared, original in zip(item.rows, (source or item).rows, strict=True)
    ]
    return replace(item, rows=rows)
