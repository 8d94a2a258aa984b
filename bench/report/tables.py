"""What all tables share: formats, headings, the sign for nothing, and how a mean over seeds is written."""

import re
from collections.abc import Sequence
from html import escape

from tabulate import tabulate

from bench.contract.records import Record
from bench.errors import UsageError
from bench.stats.spreads import Spread
from bench.text import cut, harmless, one_line

# Our names of formats -> tabulate's.
FORMATS = {
    "markdown": "pipe",
    "github": "github",
    "latex": "latex_booktabs",
    "html": "html",
    "simple": "simple",
    "csv": "csv",
    "json": "json",
}
NOTHING = "–"
LONGEST_CELL = 400  # characters; longer reasons stand in `bench show`
HTML_TAG = re.compile(r"<(?=[A-Za-z/!?])")

# Around what is set in bold, as long as Markdown's sign for it, so that columns stay aligned.
BOLD_ON, BOLD_OFF = "\ue000\ue000", "\ue001\ue001"
BOLD = {
    "markdown": ("**", "**"),
    "github": ("**", "**"),
    "latex": (r"\textbf{", "}"),
    "html": ("<strong>", "</strong>"),
    "simple": ("", " *"),
}
# What text fonts of LaTeX have no sign for, or not without a package.
LATEX = {"±": r"$\pm$", "∞": r"$\infty$", "×": r"$\times$", "–": "--", "−": "$-$"}


def check_format(table: str) -> None:
    """Fail before any work for a format that a table with a legend cannot have.

    Raises:
        UsageError: If it is csv, or unknown.
    """
    if table not in FORMATS or table == "csv":
        raise UsageError(f"--table {table!r}: give {', '.join(name for name in FORMATS if name != 'csv')}")


def spread_text(value: Spread | None, scale: float = 1, *, digits: int = 2, with_n: bool = True) -> str:
    """``50.21 ± 0.43 (n=3)``; without ± for one seed, a dash for none. ``scale`` is 100 for percent."""
    if value is None:
        return NOTHING
    deviation = "" if value.std is None else f" ± {scale * value.std:.{digits}f}"
    return f"{scale * value.mean:z.{digits}f}{deviation}" + (f" (n={value.n})" if with_n else "")


def data_text(record: Record) -> str:
    """The data that a run really used."""
    stand_in = record.data.stand_in_for if record.data else None
    return record.protocol.data + (f" in place of {stand_in}" if stand_in else "")


def heading(title: str, table: str) -> str:
    """A table's title as the format has it."""
    title = one_line(title)
    headings = {"latex": f"% {title}", "html": f"<h2>{escape(title)}</h2>", "simple": title}
    return headings.get(table, f"### {in_markdown(title)}")


def remark(text: str, table: str) -> str:
    """A sentence below a table as the format has it."""
    text = harmless(text)
    in_latex = "\n".join(f"% {line}" for line in text.splitlines())
    return {"latex": in_latex, "html": f"<p>{escape(text)}</p>"}.get(table, text)


def bold(text: str) -> str:
    """``text`` marked as the best of its column."""
    return f"{BOLD_ON}{text}{BOLD_OFF}"


def _cell(text: str, table: str) -> str:
    """A cell's text; tabulate itself escapes what HTML and LaTeX need. Only ``bold`` marks, and a whole cell."""
    is_bold = text.startswith(BOLD_ON) and text.endswith(BOLD_OFF)
    for mark in (BOLD_ON[0], BOLD_OFF[0]):
        text = text.replace(mark, "")
    plain = cut(harmless(" ".join(text.split("\n"))), LONGEST_CELL)
    plain = in_markdown(plain) if table in ("markdown", "github") else plain
    return bold(plain) if is_bold else plain


def in_markdown(text: str, *, pipes: bool = True) -> str:
    """Text in which no sign begins HTML, nor, with ``pipes``, ends a cell."""
    return HTML_TAG.sub("&lt;", text.replace("|", r"\|") if pipes else text)


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown, where tables are written line by line."""
    return f"| {' | '.join(_cell(cell, 'github') for cell in cells)} |"


def grid(titles: Sequence[str], cells: Sequence[Sequence[str]], table: str) -> str:
    """A table of text in one of the formats, what is marked as ``bold`` in bold.

    Whatever a cell holds, it is one line and no more than text to whoever reads the format.
    """
    lines = [[_cell(cell, table) for cell in line] for line in cells]
    headers = [_cell(title, table) for title in titles]
    text = str(tabulate(lines, headers=headers, tablefmt=FORMATS[table], disable_numparse=True))
    on, off = BOLD.get(table, ("", ""))
    if table == "latex":
        for sign, command in LATEX.items():
            text = text.replace(sign, command)
    if table == "simple":
        # A star at the end alone: two more blanks stand where the sign in front would be.
        text = text.replace(BOLD_ON, "").replace(BOLD_OFF, " *  ")
    return text.replace(BOLD_ON, on).replace(BOLD_OFF, off)
