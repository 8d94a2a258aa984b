"""``bench compare``: the table of submissions, from records alone."""

from collections.abc import Sequence
from pathlib import Path

from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.against import against_paper, against_records
from bench.report.comparison import Against, comparisons
from bench.report.formats import render
from bench.report.summary import Row, read_brief, say_unreadable, summarize
from bench.report.tables import FORMATS


def comparison_text(
    rows: Sequence[Row],
    *,
    table: str = "simple",
    keys: Sequence[str] | None = None,
    sort: str = "score",
    against: Against | None = None,
) -> str:
    """The tables of all protocols in ``rows``; see ``comparisons`` for the arguments.

    Raises:
        UsageError: If the format or a column is unknown.
    """
    if table not in FORMATS:
        raise UsageError(f"--table {table!r}: give {', '.join(FORMATS)}")
    return render(comparisons(rows, keys=keys, sort=sort, against=against), table)


def compare_command(
    results: Path,
    *,
    table: str = "simple",
    track: str | None = None,
    sort: str = "score",
    columns: str | None = None,
    against: str | None = None,
) -> ExitCode:
    """Print the comparison of all records under ``results``.

    Raises:
        NothingToDo: If there is no record.
        UsageError: If an option is wrong.
    """
    records, problems = read_brief(results)
    tracks = sorted({record.protocol.track for record in records})
    if track is not None:
        if records and track not in tracks:
            raise UsageError(f"--track {track!r}: the records are of {', '.join(tracks)}")
        records = [record for record in records if record.protocol.track == track]
    if not records:
        raise NothingToDo(f"{results}: no records; `bench run` makes them")
    beside: Against | None = against_paper if against == "paper" else None
    if against not in (None, "paper"):
        assert against is not None
        beside, more = against_records(against, results)
        problems += more
    say_unreadable(problems)
    keys = None if columns is None else [key.strip() for key in columns.split(",") if key.strip()]
    print(comparison_text(summarize(records), table=table, keys=keys, sort=sort, against=beside))
    return ExitCode.USAGE if problems else ExitCode.OK
