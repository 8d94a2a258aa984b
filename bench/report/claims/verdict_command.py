"""``bench verdict``: the verdict of the official records on each claim of the papers, and their number."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.errors import ExitCode, NothingToDo
from bench.report.claims.verdict import Verdict, tally, verdicts
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.records.load import read_all, warn_unreadable
from bench.report.tables.text import MISSING, check_format, grid, heading

OUTCOMES = (
    "Reproduced: the 90 % interval of the difference lies within the margin (two one-sided t tests at 5 %). "
    "Consistent: this is not shown, but the claim lies in the 95 % prediction interval for another experiment of "
    "ours. Not reproduced: the claim lies outside of that interval, and the interval of the difference beyond the "
    "margin. Inconclusive: none of these. A best of several runs is compared with the expected best of as many "
    "runs of ours."
)
POWER = "Power: the probability of a reproduced verdict with this number of seeds if there is no difference."
SPREADS = (
    "Our ± is over seeds; the paper's ± is as the paper gives it. Our train metrics are means over the last 10 % "
    "of the steps."
)
RULES = "Rules and error rates: docs/statistics.md."
LEGEND = f"{OUTCOMES}\n{POWER} {RULES}\n{SPREADS}"
CAPTION = "Claims and the verdicts of the official records"
OPTIONAL = ("expected [95 %]", "reason", "rests on")


def verdict_text(rows: list[Row], *, table_format: str = "simple") -> str:
    """Return the verdicts as a table with its legend.

    Raises:
        UsageError: If the format is unknown.
        NothingToDo: If no record has a claim.
    """
    check_format(table_format)
    claims = list(verdicts(rows))
    if not claims:
        raise NothingToDo("no official record has a claim; run a submission of a paper with `bench run`")
    if table_format == "json":
        return json.dumps([asdict(item) for item in claims], indent=1)
    title = heading(CAPTION, table_format)
    return f"{title}\n\n{verdict_grid(claims, table_format)}\n\n{tally(claims)}\n\n{LEGEND}"


def verdict_grid(claims: list[Verdict], table_format: str) -> str:
    """Return the table alone, without empty optional columns."""
    cells = [item.cells() for item in claims]
    titles = titles_of(cells)
    return grid(titles, [[row[title] for title in titles] for row in cells], table_format)


def titles_of(cells: Sequence[dict[str, str]]) -> list[str]:
    """Return the column titles of a table of claims, without optional columns that are empty."""
    return [
        title for title in cells[0] if title not in OPTIONAL or any(row[title].strip(MISSING) for row in cells)
    ]


def verdict_command(results: Path, submissions: Path, *, table_format: str, strict: bool) -> ExitCode:
    """Print the verdicts; with ``strict`` the exit code is 1 if a claim is not reproduced.

    Args:
        results: The results folder.
        submissions: The folder of the submissions, whose manifests have the current claims.
        table: One of ``FORMATS`` except csv.
        strict: Whether a claim that is not reproduced sets the exit code.

    Raises:
        NothingToDo: If there is no claim to judge.
        UsageError: If an option is wrong.
    """
    records, problems = read_all(results)
    records, more = with_current_claims(records, submissions)
    warn_unreadable([*problems, *more])
    rows = summarize(records)
    print(verdict_text(rows, table_format=table_format))
    if strict and any(item.verdict == "not reproduced" for item in verdicts(rows)):
        return ExitCode.REGRESSION
    return ExitCode.USAGE if problems or more else ExitCode.OK
