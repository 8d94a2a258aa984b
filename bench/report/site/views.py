"""What pages are made of: tables whose cells know what they sort by and where they lead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.contract.records import Record
from bench.report.columns import Column
from bench.report.comparison import Comparison
from bench.report.names import run_name, slug
from bench.report.summary import Row
from bench.report.tables import NOTHING
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread


@dataclass(frozen=True)
class Cell:
    """One cell. ``sort`` is a number, or empty where the text is sorted by; what is absent sorts last."""

    text: str
    sort: str = ""
    link: str = ""  # from the site's root
    strong: bool = False  # among the best of its column
    kind: str = ""  # a class of the style sheet
    head: bool = False  # names its row


@dataclass(frozen=True)
class Table:
    """A table with a caption."""

    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    legend: str = ""
    sortable: bool = True


@dataclass(frozen=True)
class Figure:
    """A drawing (``svg``) or a picture (``path`` from the site's root) with what it shows in words."""

    caption: str
    svg: str = ""
    path: str = ""
    size: tuple[int, int] = (0, 0)  # of a picture, in pixels


@dataclass(frozen=True)
class Link:
    """Where to read on."""

    text: str
    address: str  # from the site's root


@dataclass
class Section:
    """A part of a page under a heading."""

    title: str
    text: Sequence[str] = ()
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    pictures: list[Figure] = field(default_factory=list)
    lines: Sequence[str] = ()  # shown as they were printed
    links: Sequence[Link] = ()


def kind_of(text: str) -> str:
    """The class of a status or a verdict."""
    first, *remarks = text.split(", ")
    if first in ("ok", "reproduced"):
        return "" if remarks else "good"
    return "open" if first in ("consistent", "inconclusive", "not measured") else "bad"


def text_table(caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]], *, legend: str = "") -> Table:
    """A table of plain text in a given order, the first cell of a row its head."""
    cells = [[Cell(text, head=place == 0) for place, text in enumerate(row)] for row in rows]
    return Table(caption, titles, cells, legend, sortable=False)


def comparison_table(item: Comparison, legend: str = "", keys: Sequence[str] | None = None) -> Table:
    """The table of one protocol; of its columns only ``keys``, if given."""
    columns = [column for column in item.columns if keys is None or column.key in keys]
    rows = [[_cell(item, column, row) for column in columns] for row in item.rows]
    caption = item.title if keys is None else item.subject
    return Table(caption, [column.title for column in columns], rows, legend)


def _cell(item: Comparison, column: Column, row: Row) -> Cell:
    return Cell(
        text=column.text(row),
        sort=sort_value(column.value(row)),
        link=submission_page(row.first) if column.key == "submission" else "",
        strong=row.key in item.best[column.key],
        kind=kind_of(row.status) if column.key == "status" else "",
        head=column.key == "submission",
    )


def sort_value(value: Spread | PairedDifference | float | str | None) -> str:
    """What a cell sorts by, if that is a number."""
    if isinstance(value, Spread | PairedDifference):
        value = value.mean
    return "" if value is None or isinstance(value, str) else repr(value)


def runs_table(
    caption: str, records: Sequence[Record], extra: Sequence[tuple[str, Callable[[Record], float | None], str]]
) -> Table:
    """Runs one by one, each leading to its page.

    Args:
        caption: Of the table.
        records: In the order to show.
        extra: Title, value and format of further columns.
    """
    rows = []
    for record in records:
        values = [(value(record), form) for _, value, form in extra]
        figures = [
            Cell(NOTHING if value is None else format(value, form), sort_value(value)) for value, form in values
        ]
        state = record.status if record.status != "ok" else "ok" if record.ranked else "ok, unranked"
        why = record.reason or "; ".join(record.unranked_because)
        name = f"{record.identity.submission}/{record.identity.variant} seed {record.identity.seed}"
        finished = record.timing.finished_at[:16].replace("T", " ")
        rows.append(
            [
                Cell(name, link=run_page(record), head=True),
                *figures,
                Cell(state, kind=kind_of(state)),
                Cell(why),
                Cell(finished),
            ]
        )
    return Table(caption, ["run", *(title for title, _, _ in extra), "status", "why", "finished (UTC)"], rows)


def track_page(track: str) -> str:
    """Address from the site's root."""
    return f"tracks/{slug(track)}.html"


def submission_page(record: Record) -> str:
    """Address from the site's root."""
    return f"submissions/{slug(record.identity.submission)}.html"


def run_page(record: Record) -> str:
    """Address from the site's root."""
    return f"runs/{run_name(record)}.html"


def record_copy(record: Record) -> str:
    """Address of the record itself."""
    return f"records/{run_name(record)}.json"
