"""The parts of a page: sections of text, tables with links, plots and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.contract.records.advice import over_advice
from bench.contract.records.record import Record
from bench.contract.tracks import OFFICIAL
from bench.report.records.aggregate import Row
from bench.report.records.naming import run_name, slug
from bench.report.tables.columns import Column
from bench.report.tables.comparison import Comparison
from bench.report.tables.table import Cell, Table
from bench.report.tables.text import MISSING


@dataclass(frozen=True)
class Figure:
    """A plot (``svg``) or a picture (``path`` relative to the site's root) with a caption."""

    caption: str
    svg: str = ""
    path: str = ""
    size: tuple[int, int] = (0, 0)  # width and height of a picture in pixels


@dataclass(frozen=True)
class Link:
    """A link to another page."""

    text: str
    address: str  # relative to the site's root


@dataclass
class Section:
    """A part of a page under a heading."""

    title: str
    text: Sequence[str] = ()
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    pictures: list[Figure] = field(default_factory=list)
    lines: Sequence[str] = ()  # preformatted output
    links: Sequence[Link] = ()
    markdown: str = ""  # of the organiser, below the text


def style_of(text: str) -> str:
    """Return the CSS class of a status or a verdict."""
    first, *remarks = text.split(", ")
    if first in ("ok", "reproduced"):
        return "" if remarks else "good"
    return "open" if first in ("consistent", "inconclusive", "not measured") else "bad"


def comparison_table(item: Comparison, legend: str = "", keys: Sequence[str] | None = None) -> Table:
    """Return the table of one protocol with links to its submissions; with ``keys`` only those columns.

    The status comes directly after the score, because a narrow window cuts off the last columns.
    """
    item = replace(item, columns=_status_after_score(item.columns))
    table = item.table(keys)
    columns = [column.key for column in item.columns if keys is None or column.key in keys]
    rows = [
        [_page_cell(key, cell, compared.row) for key, cell in zip(columns, cells, strict=True)]
        for compared, cells in zip(item.rows, table.rows, strict=True)
    ]
    return replace(table, rows=rows, legend=legend)


def _status_after_score(columns: Sequence[Column]) -> list[Column]:
    first = ("place", "submission", "team", "score", "status")
    return sorted(columns, key=lambda column: first.index(column.key) if column.key in first else len(first))


def _page_cell(key: str, cell: Cell, row: Row) -> Cell:
    if key == "submission":
        return replace(cell, link=submission_page(row.representative))
    if key == "team":
        return replace(cell, is_plain=True)
    return replace(cell, style=style_of(row.status)) if key == "status" else cell


def runs_table(
    caption: str, records: Sequence[Record], extra: Sequence[tuple[str, Callable[[Record], float | None], str]]
) -> Table:
    """Return a table with one line per run, linked to its page.

    Args:
        caption: The caption of the table.
        records: The runs, in the order of the table.
        extra: (Title, value, format) of additional columns.
    """
    rows = []
    for record in records:
        values = [(value(record), spec) for _, value, spec in extra]
        cells = [Cell(MISSING if value is None else format(value, spec), value) for value, spec in values]
        outcome = record.status if record.status != "ok" else "ok" if record.ranked else "ok, unranked"
        state = ", ".join([outcome, *over_advice(record)])
        reason = record.reason or "; ".join(record.unranked_because)
        profile = "" if record.protocol.profile == OFFICIAL else f", {record.protocol.profile}"
        name = f"{record.identity.submission}/{record.identity.variant} seed {record.identity.seed}{profile}"
        finished = record.timing.finished_at[:16].replace("T", " ")
        rows.append(
            [
                Cell(name, link=run_page(record), is_head=True),
                *cells,
                Cell(state, style=style_of(state)),
                Cell(reason),
                Cell(finished),
            ]
        )
    return Table(["run", *(title for title, _, _ in extra), "status", "reason", "finished (UTC)"], rows, caption)


def track_page(track: str) -> str:
    """Return the address of a track's page, relative to the site's root."""
    return f"tracks/{slug(track)}.html"


def rules_page(track: str) -> str:
    """Return the address of the page with a track's rules, relative to the site's root."""
    return f"rules/{slug(track)}.html"


def submission_page(record: Record) -> str:
    """Return the address of the submission's page, relative to the site's root."""
    return f"submissions/{slug(record.identity.submission)}.html"


def run_page(record: Record) -> str:
    """Return the address of the run's page, relative to the site's root."""
    return f"runs/{run_name(record)}.html"


def record_copy(record: Record) -> str:
    """Return the address of the copy of the record, relative to the site's root."""
    return f"records/{run_name(record)}.json"
