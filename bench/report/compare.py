"""``bench compare``: tables of submissions, from records alone."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.records.load import read_all, read_brief, warn_unreadable
from bench.report.tables.comparison import MakeColumns, comparisons
from bench.report.tables.image_columns import entry_columns, interval_columns, parse_excluded, without_columns
from bench.report.tables.reference_columns import paper_columns, record_columns
from bench.report.tables.render import render
from bench.report.tables.text import FORMATS


def comparison_text(
    rows: Sequence[Row],
    *,
    table_format: str = "simple",
    keys: Sequence[str] | None = None,
    sort: str = "score",
    extra_columns: Sequence[MakeColumns] = (),
    width: int | None = None,
) -> str:
    """Return the tables of all protocols in ``rows`` as text.

    Args:
        rows: In any order.
        table: One of ``FORMATS``.
        keys: See ``comparisons``.
        sort: See ``comparisons``.
        extra_columns: See ``comparisons``.
        width: See ``render``.

    Raises:
        UsageError: If the format or a column is unknown.
    """
    if table_format not in FORMATS:
        raise UsageError(f"--table {table_format!r}: give {', '.join(FORMATS)}")
    return render(comparisons(rows, keys=keys, sort=sort, extra_columns=extra_columns), table_format, width)


@dataclass(frozen=True)
class CompareOptions:
    """The options of `bench compare`."""

    table_format: str = "simple"
    track: str | None = None
    sort: str = "score"
    columns: str | None = None
    against: str | None = None
    images: bool = False
    without: str | None = None


def compare_command(results: Path, submissions: Path, options: CompareOptions) -> ExitCode:
    """Print the comparison of all records under ``results``, with the claims of the current manifests.

    Raises:
        NothingToDo: If there is no record.
        UsageError: If an option is wrong.
    """
    without = None if options.without is None else parse_excluded(options.without)
    # Brief records have no per-image results.
    records, problems = read_all(results) if options.images or without is not None else read_brief(results)
    if options.against is not None and any(row.label == options.against for row in summarize(records)):
        records, problems = read_all(results)
    if options.track is not None:
        records = _of_track(records, options.track)
    if not records:
        raise NothingToDo(f"{results}: no records; create them with `bench run`")
    records, unread = with_current_claims(records, submissions)
    problems += unread
    rows = summarize(records)
    extra_columns: list[MakeColumns] = [interval_columns] if options.images else []
    if without is not None:
        extra_columns.append(without_columns(without))
    if options.against is not None:
        reference, unread = _against(options.against, rows, results)
        extra_columns.append(reference)
        problems += unread
    warn_unreadable(problems)
    keys = None if options.columns is None else [key.strip() for key in options.columns.split(",") if key.strip()]
    # Columns that were asked for are shown, whatever the width.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and keys is None else None
    print(
        comparison_text(
            rows,
            table_format=options.table_format,
            keys=keys,
            sort=options.sort,
            extra_columns=extra_columns,
            width=width,
        )
    )
    return ExitCode.USAGE if problems else ExitCode.OK


def _of_track(records: list[Record], track: str) -> list[Record]:
    tracks = sorted({record.protocol.track for record in records})
    if records and track not in tracks:
        raise UsageError(f"--track {track!r}: the records are of {', '.join(tracks)}")
    return [record for record in records if record.protocol.track == track]


def _against(reference: str, rows: Sequence[Row], results: Path) -> tuple[MakeColumns, list[str]]:
    """Return the function that adds the columns of ``--against``, and a message per unreadable record."""
    if reference == "paper":
        return paper_columns, []
    if any(row.label == reference for row in rows):
        return entry_columns(reference), []
    return record_columns(reference, results)
