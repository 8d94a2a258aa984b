"""``bench export``: settings, metrics and training curves of records, for a tracker of experiments."""

from pathlib import Path

from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, ResultsError, UsageError
from bench.report.export.trackers import TRACKERS, ExportedRun
from bench.report.optional_packages import require
from bench.report.records.flatten import flat_record
from bench.report.records.load import read_all, warn_unreadable
from bench.report.records.naming import run_name


def export_command(to: str, destination: str, results: Path, *, track: str | None = None) -> ExitCode:
    """Write all runs of a results folder to a tracker; print how many are new.

    Args:
        to: One of ``TRACKERS``.
        destination: A folder (tensorboard), a project (wandb, trackio), or a tracking URI (mlflow).
        results: The results folder.
        track: Only runs of this track; None for all.

    Raises:
        UsageError: If there is no such tracker, or its package is not installed.
        NothingToDo: If there is no record.
        ResultsError: If the tracker refuses a run.
    """
    if to not in TRACKERS:
        raise UsageError(f"--to {to!r}: give {', '.join(TRACKERS)}")
    package, tracker_of = TRACKERS[to]
    require(package, f"bench export --to {to}", extra=to)
    records, problems = read_all(results)
    warn_unreadable(problems)
    records = [record for record in records if track in (None, record.protocol.track)]
    if not records:
        raise NothingToDo(f"{results}: no records to export; `bench run` makes them")
    try:
        tracker = tracker_of(destination)
        written = sum(tracker.write(exported_run(record)) for record in records)
    except Exception as error:  # any of a library that is not ours
        raise ResultsError(f"--to {to} {destination}: {type(error).__name__}: {error}") from None
    print(f"{written} runs exported to {to} {destination}, {len(records) - written} were there already")
    return ExitCode.USAGE if problems else ExitCode.OK


def exported_run(record: Record) -> ExportedRun:
    """A record as trackers see it: scalars only, metrics and costs apart from settings."""
    flat = flat_record(record)
    numbers = {
        name: float(value)
        for name, value in flat.items()
        if name.startswith(("metrics.", "as_published.", "cost.", "timing.")) and isinstance(value, int | float)
    }
    curves = record.training.curves if record.training else None
    identity = record.identity
    return ExportedRun(
        name=run_name(record),
        group=f"{identity.submission}/{identity.variant}",
        checksum=record.checksum,
        finished_at=record.timing.finished_at,
        succeeded=record.status == "ok",
        settings={name: value for name, value in flat.items() if name not in numbers},
        metrics=numbers,
        curves={} if curves is None else {name: curves.of(name) for name in curves.values},
    )
