"""The data model of tables: cells with their text, their value and, on the site, their link."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread

Value = Spread | PairedDifference | float | str | None


@dataclass(frozen=True)
class Cell:
    """One cell: ``text`` for display, ``value`` in full precision for sorting, tests and export."""

    text: str
    value: Value = None  # None sorts last
    best: bool = False  # the best of its column, or not significantly worse
    link: str = ""  # site only: address relative to the site's root
    style: str = ""  # site only: CSS class
    is_head: bool = False  # row header
    is_plain: bool = False  # site only: without links and code in the text, for names

    @property
    def number(self) -> float | None:
        """The value as one number, the mean for a spread or a difference; None for text and missing values."""
        value = self.value.mean if isinstance(self.value, Spread | PairedDifference) else self.value
        return None if isinstance(value, str) else value


@dataclass(frozen=True)
class Table:
    """A table: column titles and rows of cells."""

    titles: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    legend: str = ""
    is_sortable: bool = True  # site only

    @classmethod
    def of_text(
        cls, titles: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", legend: str = ""
    ) -> "Table":
        """Return an unsortable table of plain text; the first cell of each row is its header."""
        cells = [[Cell(text, is_head=index == 0) for index, text in enumerate(row)] for row in rows]
        return cls(titles, cells, caption, legend, is_sortable=False)
