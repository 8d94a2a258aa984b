"""``bench verdict``: the claims of papers, what the official records say of each, and how many ended how."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.errors import ExitCode, NothingToDo
from bench.report.claims import with_current_claims
from bench.report.reading import read_all, say_unreadable
from bench.report.summary import Row, summarize
from bench.report.tables import NOTHING, check_format, grid, heading
from bench.report.verdict import Verdict, tally, verdicts

OUTCOMES = (
    "Reproduced: the 90 % interval of the difference lies within the margin (two one-sided t tests at 5 %). "
    "Consistent: that is not shown, but the claim lies where one more experiment of ours is expected (95 % "
    "prediction interval). Not reproduced: it lies outside, and the difference's interval beyond the margin. "
    "Inconclusive: none of these. A best of several runs is set against the best that as many of ours would give."
)
POWER = "Power: how likely so many seeds say reproduced when there is no difference."
SPREADS = (
    "± is over seeds in ours; in the paper's it is whatever the paper gives. Ours of train are means over the "
    "last tenth of the steps."
)
RULES = "Rules and error rates: docs/statistics.md."
LEGEND = f"{OUTCOMES}\n{POWER} {RULES}\n{SPREADS}"
OPTIONAL = ("expected [95 %]", "why", "rests on")


def verdict_text(rows: list[Row], *, table: str = "simple") -> str:
    """The verdicts as a table.

    Raises:
        UsageError: If the format is unknown.
        NothingToDo: If no record has a claim.
    """
    check_format(table)
    found = list(verdicts(rows))
    if not found:
        raise NothingToDo("no official record has a claim; `bench run` on a paper's submission makes one")
    if table == "json":
        return json.dumps([asdict(item) for item in found], indent=1)
    title = heading("Claims and what the official records say of them", table)
    return f"{title}\n\n{verdict_grid(found, table)}\n\n{tally(found)}\n\n{LEGEND}"


def verdict_grid(found: list[Verdict], table: str) -> str:
    """The table alone, without those of its columns in which nothing stands."""
    cells = [item.cells() for item in found]
    titles = titles_of(cells)
    return grid(titles, [[row[title] for title in titles] for row in cells], table)


def titles_of(cells: Sequence[dict[str, str]]) -> list[str]:
    """The columns of a table of verdicts' cells; one that may be empty stands only where it is not."""
    return [
        title for title in cells[0] if title not in OPTIONAL or any(row[title].strip(NOTHING) for row in cells)
    ]


def verdict_command(results: Path, submissions: Path, *, table: str, strict: bool) -> ExitCode:
    """Print the verdicts; with ``strict`` a claim that failed is exit code 1.

    Args:
        results: The results folder.
        submissions: Folder of the submissions, whose manifests have the claims as they are read now.
        table: One of ``FORMATS``.
        strict: Whether a claim that failed is an exit code.

    Raises:
        NothingToDo: If there is nothing to judge.
        UsageError: If an option is wrong.
    """
    records, problems = read_all(results)
    records, more = with_current_claims(records, submissions)
    say_unreadable([*problems, *more])
    rows = summarize(records)
    print(verdict_text(rows, table=table))
    if strict and any(item.verdict == "not reproduced" for item in verdicts(rows)):
        return ExitCode.REGRESSION
    return ExitCode.USAGE if problems or more else ExitCode.OK
