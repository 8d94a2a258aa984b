"""What all tables share: formats, headings, the sign for nothing, and how a mean over seeds is written."""

from bench.contract.records import Record
from bench.stats import Spread

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


def spread_text(value: Spread | None, scale: float = 1, *, digits: int = 2, with_n: bool = True) -> str:
    """``50.21 ± 0.43 (n=3)``; without ± for one seed, a dash for none. ``scale`` is 100 for percent."""
    if value is None:
        return NOTHING
    deviation = "" if value.std is None else f" ± {scale * value.std:.{digits}f}"
    return f"{scale * value.mean:.{digits}f}{deviation}" + (f" (n={value.n})" if with_n else "")


def data_text(record: Record) -> str:
    """The data that a run really used."""
    stand_in = record.data.stand_in_for if record.data else None
    return record.protocol.data + (f" in place of {stand_in}" if stand_in else "")


def heading(title: str, table: str) -> str:
    """A table's title as the format has it."""
    headings = {"latex": f"% {title}", "html": f"<h2>{title}</h2>", "simple": title}
    return headings.get(table, f"### {title}")
