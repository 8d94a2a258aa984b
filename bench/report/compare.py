"""``bench compare``: the table of submissions, from records alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.records import Record
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.against import against_paper, against_records
from bench.report.claims import with_current_claims
from bench.report.comparison import MakeColumns, comparisons
from bench.report.formats import render
from bench.report.images import against_entry, interval_columns, left_out, without_columns
from bench.report.reading import read_all, read_brief, say_unreadable
from bench.report.summary import Row, summarize
from bench.report.tables import FORMATS


def comparison_text(
    rows: Sequence[Row],
    *,
    table: str = "simple",
    keys: Sequence[str] | None = None,
    sort: str = "score",
    more: Sequence[MakeColumns] = (),
) -> str:
    """The tables of all protocols in ``rows``; see ``comparisons`` for the arguments.

    Raises:
        UsageError: If the format or a column is unknown.
    """
    if table not in FORMATS:
        raise UsageError(f"--table {table!r}: give {', '.join(FORMATS)}")
    return render(comparisons(rows, keys=keys, sort=sort, more=more), table)


@dataclass(frozen=True)
class Wanted:
    """What `bench compare` is to show, as its options say it."""

    table: str = "simple"
    track: str | None = None
    sort: str = "score"
    columns: str | None = None
    against: str | None = None
    images: bool = False
    without: str | None = None


def compare_command(results: Path, submissions: Path, wanted: Wanted) -> ExitCode:
    """Print the comparison of all records under ``results``; papers' figures are those of the manifests.

    Raises:
        NothingToDo: If there is no record.
        UsageError: If an option is wrong.
    """
    without = None if wanted.without is None else left_out(wanted.without)
    # The short way leaves out which images each run got right.
    records, problems = read_all(results) if wanted.images or without is not None else read_brief(results)
    if wanted.against is not None and any(row.label == wanted.against for row in summarize(records)):
        records, problems = read_all(results)
    if wanted.track is not None:
        records = _of_track(records, wanted.track)
    if not records:
        raise NothingToDo(f"{results}: no records; `bench run` makes them")
    records, unread = with_current_claims(records, submissions)
    problems += unread
    rows = summarize(records)
    more: list[MakeColumns] = [interval_columns] if wanted.images else []
    if without is not None:
        more.append(without_columns(without))
    if wanted.against is not None:
        beside, unread = _against(wanted.against, rows, results)
        more.append(beside)
        problems += unread
    say_unreadable(problems)
    keys = None if wanted.columns is None else [key.strip() for key in wanted.columns.split(",") if key.strip()]
    print(comparison_text(rows, table=wanted.table, keys=keys, sort=wanted.sort, more=more))
    return ExitCode.USAGE if problems else ExitCode.OK


def _of_track(records: list[Record], track: str) -> list[Record]:
    tracks = sorted({record.protocol.track for record in records})
    if records and track not in tracks:
        raise UsageError(f"--track {track!r}: the records are of {', '.join(tracks)}")
    return [record for record in records if record.protocol.track == track]


def _against(named: str, rows: Sequence[Row], results: Path) -> tuple[MakeColumns, list[str]]:
    """What makes the columns, and a line for each record that cannot be read."""
    if named == "paper":
        return against_paper, []
    if any(row.label == named for row in rows):
        return against_entry(named), []
    return against_records(named, results)
