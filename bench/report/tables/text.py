"""Table output: formats, headings, escaping, and the notation of values, means over seeds and differences."""

import re
from collections.abc import Sequence
from html import escape

from tabulate import tabulate

from bench.contract.metrics import Metric
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.tables.table import Table
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread
from bench.text import cut, harmless, one_line

# `--table` name -> tabulate's name.
FORMATS = {
    "markdown": "pipe",
    "github": "github",
    "latex": "latex_booktabs",
    "html": "html",
    "simple": "simple",
    "csv": "csv",
    "json": "json",
}
MISSING = "–"
LONGEST_CELL = 400  # characters; `bench show` prints longer reasons in full
HTML_TAG = re.compile(r"<(?=[A-Za-z/!?])")
ENTITY = re.compile(r"&(?=#?\w+;)")
# What begins bold, struck or linked text in Markdown. A star before a blank or the end begins nothing.
MARKUP = re.compile(r"\*+(?=[^\s*])|(?<!\w)_+(?=[^\s_])|~~(?=\S)|!?\[(?=[^\]]*\][(\[])")

# Private-use characters around bold text, as long as Markdown's `**`, so that columns stay aligned.
BOLD_ON, BOLD_OFF = "\ue000\ue000", "\ue001\ue001"
BOLD = {
    "markdown": ("**", "**"),
    "github": ("**", "**"),
    "latex": (r"\textbf{", "}"),
    "html": ("<strong>", "</strong>"),
    "simple": ("", " *"),
}
# Characters that LaTeX's text fonts lack, or have only with a package.
LATEX = {"±": r"$\pm$", "…": r"\ldots", "∞": r"$\infty$", "×": r"$\times$", "–": "--", "−": "$-$"}


def check_format(table_format: str) -> None:
    """Check, before any work, that a table with a legend can be written in a format.

    Raises:
        UsageError: If the format is csv, or unknown.
    """
    if table_format not in FORMATS or table_format == "csv":
        raise UsageError(f"--table {table_format!r}: give {', '.join(name for name in FORMATS if name != 'csv')}")


def value_text(value: float, metric: Metric, *, sign: bool = False) -> str:
    """Return ``50.21``, or ``+50.21`` with ``sign``: scaled and rounded as the metric defines."""
    return f"{metric.scale * value:{'+' if sign else ''}z,.{metric.digits}f}"


def interval_text(low: float | None, high: float | None, metric: Metric, *, sign: bool = False) -> str:
    """Return ``[49.80, 50.62]``; empty if a bound is missing.

    The interval of a percentage ends at 0 and 100 %, that of a difference (with ``sign``) at -100 and +100.
    """
    if low is None or high is None:
        return ""
    if metric.is_percentage:
        low, high = max(-1.0 if sign else 0.0, low), min(1.0, high)
    return f"[{value_text(low, metric, sign=sign)}, {value_text(high, metric, sign=sign)}]"


def spread_text(value: Spread | None, metric: Metric, *, with_n: bool = True) -> str:
    """Return ``50.21 ± 0.43 (n=3)``: without ± for a single seed, a dash for None."""
    if value is None:
        return MISSING
    deviation = "" if value.std is None else f" ± {value_text(value.std, metric)}"
    return value_text(value.mean, metric) + deviation + (f" (n={value.n})" if with_n else "")


def with_unit(value: Spread, metric: Metric) -> str:
    """Return ``50.21 ± 0.43 %``, for a table whose rows are of several metrics."""
    return spread_text(value, metric, with_n=False) + metric.unit


def difference_text(value: PairedDifference | None, metric: Metric, *, with_n: bool = True) -> str:
    """Return ``+0.40 [-0.21, +1.01] (n=3)``, a mean difference and its interval; a dash for None."""
    if value is None:
        return MISSING
    interval = interval_text(value.low, value.high, metric, sign=True)
    parts = [value_text(value.mean, metric, sign=True), interval, f"(n={value.n})" if with_n else ""]
    return " ".join(filter(None, parts))


def data_text(record: Record) -> str:
    """Return the data set that the run used, and the one that it replaces, if any."""
    stand_in = record.data.stand_in_for if record.data else None
    return record.protocol.data + (f" in place of {stand_in}" if stand_in else "")


def heading(title: str, table_format: str) -> str:
    """Return a table's title as a heading of the format."""
    title = one_line(title)
    headings = {"latex": f"% {title}", "html": f"<p><strong>{escape(title)}</strong></p>", "simple": title}
    return headings.get(table_format, f"### {in_markdown(title)}")


def remark(text: str, table_format: str) -> str:
    """Return a sentence below a table as a paragraph or comment of the format."""
    text = harmless(text)
    in_latex = "\n".join(f"% {line}" for line in text.splitlines())
    return {"latex": in_latex, "html": f"<p>{escape(text)}</p>"}.get(table_format, text)


def _cell(text: str, table_format: str, *, best: bool = False, markup: bool = False) -> str:
    """Return a cell's text on one line, escaped for Markdown; tabulate escapes HTML and LaTeX.

    With ``markup``, emphasis and links of Markdown stay.
    """
    for mark in (BOLD_ON[0], BOLD_OFF[0]):
        text = text.replace(mark, "")
    plain = cut(harmless(" ".join(text.split("\n"))), LONGEST_CELL)
    if table_format in ("markdown", "github"):
        plain = in_markdown(plain if markup else without_markup(plain))
    return f"{BOLD_ON}{plain}{BOLD_OFF}" if best else plain


def in_markdown(text: str, *, pipes: bool = True) -> str:
    """Escape the start of HTML tags and, with ``pipes``, the ``|`` that would end a cell."""
    return HTML_TAG.sub("&lt;", text.replace("|", r"\|") if pipes else text)


def without_markup(text: str) -> str:
    """Escape in text of others what Markdown would show as something else: emphasis, links and entities."""
    text = ENTITY.sub("&amp;", text.replace("\\", "\\\\"))
    return MARKUP.sub(lambda match: "".join(f"\\{character}" for character in match[0]), text)


def markdown_row(cells: Sequence[str]) -> str:
    """Return one row of a Markdown table that is written line by line; its cells may have links and emphasis."""
    return f"| {' | '.join(_cell(cell, 'github', markup=True) for cell in cells)} |"


def table_text(table: Table, table_format: str) -> str:
    """Return a table without its caption, the best cells per column in bold.

    Every cell is one line and escaped: its content cannot become markup.

    Args:
        content: The table.
        table: One of ``FORMATS`` except csv and json.
    """
    lines = [[_cell(cell.text, table_format, best=cell.best) for cell in row] for row in table.rows]
    headers = [_cell(title, table_format) for title in table.titles]
    text = str(tabulate(lines, headers=headers, tablefmt=FORMATS[table_format], disable_numparse=True))
    on, off = BOLD.get(table_format, ("", ""))
    if table_format == "latex":
        for sign, command in LATEX.items():
            text = text.replace(sign, command)
    if table_format == "simple":
        # One star at the end: two blanks compensate for the removed mark in front.
        text = text.replace(BOLD_ON, "").replace(BOLD_OFF, " *  ")
        text = "\n".join(line.rstrip() for line in text.splitlines())  # a long reason widens its own line only
    return text.replace(BOLD_ON, on).replace(BOLD_OFF, off)


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], table_format: str) -> str:
    """Return ``table_text`` of a table of plain text."""
    return table_text(Table.of_text(titles, rows), table_format)
