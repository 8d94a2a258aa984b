"""What all tables share: formats, headings, the sign for nothing, and how a mean over seeds is written."""

from collections.abc import Sequence

from tabulate import tabulate

from bench.contract.records import Record
from bench.errors import UsageError
from bench.stats.spreads import Spread

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
    headings = {"latex": f"% {title}", "html": f"<h2>{title}</h2>", "simple": title}
    return headings.get(table, f"### {title}")


def remark(text: str, table: str) -> str:
    """A sentence below a table as the format has it."""
    return {"latex": f"% {text}", "html": f"<p>{text}</p>"}.get(table, text)


def bold(text: str) -> str:
    """``text`` marked as the best of its column."""
    return f"{BOLD_ON}{text}{BOLD_OFF}"


def grid(titles: Sequence[str], cells: Sequence[Sequence[str]], table: str) -> str:
    """A table of text in one of the formats, what is marked as ``bold`` in bold."""
    text = str(tabulate(cells, headers=titles, tablefmt=FORMATS[table], disable_numparse=True))
    on, off = BOLD.get(table, ("", ""))
    if table == "latex":
        for sign, command in LATEX.items():
            text = text.replace(sign, command)
    if table == "simple":
        # A star at the end alone: two more blanks stand where the sign in front would be.
        text = text.replace(BOLD_ON, "").replace(BOLD_OFF, " *  ")
    return text.replace(BOLD_ON, on).replace(BOLD_OFF, off)
