"""What ``bench score`` does: samples that were drawn somewhere are scored here, and get their record."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contract.jobs import BEGUN, REPORT, SPEC, WORK, Begun, JobSpec, Scores, read_report
from bench.contract.records import Record
from bench.data.store import data_root as resolve_root
from bench.errors import BenchError, DataError, ExitCode, ResultsError
from bench.locks import locked
from bench.measure.weights import ALL, missing
from bench.run.carry import unscored
from bench.run.devices import choose_device, usable_cores
from bench.run.discovery import Found, submissions_of
from bench.run.executors.executor import UNLIMITED, Assignment, Done, Executor, LocalExecutor
from bench.run.executors.local import LOG
from bench.run.executors.sandbox import Walls
from bench.run.plan import Job, make_plan
from bench.run.progress.base import Display
from bench.run.progress.choose import choose_display
from bench.run.recording import record_success
from bench.run.settings import Settings


@dataclass(frozen=True)
class ScoreOptions:
    """The command line of ``bench score``."""

    paths: list[Path]
    device: str
    data_root: Path | None
    track_file: Path | None
    results: Path
    threads: int | None = None  # None for all cores
    log_format: str = "auto"


def score_command(options: ScoreOptions) -> ExitCode:
    """Score all samples of the submissions that have none.

    Returns:
        0, or the gravest exit code of those that could not be scored; they stay as they are.

    Raises:
        DataError: If there are no weights to score with.
        UsageError: If an option is wrong.
    """
    reason = missing(*ALL)
    if reason is not None:
        raise DataError(reason)
    found, broken = submissions_of(options.paths, options.track_file)
    by_name = {submission.name: submission for submission in found}
    device, code = choose_device(options.device), max([ExitCode.OK, *(error.exit_code for _, error in broken)])
    waiting = [folder for folder in unscored(options.results) if folder.parent.parent.name in by_name]
    if not waiting:
        print(f"nothing to do: no samples in {options.results} wait to be scored")
    threads = options.threads or usable_cores()
    display, executor = choose_display(options.log_format), LocalExecutor(device, 1)
    try:
        for _, error in broken:
            display.message(f"✗ {error}")
        for folder in waiting:
            try:
                with locked(folder.with_suffix(".lock")):
                    job, settings = _job(by_name[folder.parent.parent.name], folder, options)
                    _score(job, replace(settings, threads=threads), device, executor, display)
            except (BenchError, OSError) as error:
                display.message(f"✗ {folder.parent.parent.name} {folder.name}: {error}")
                code = max(code, getattr(error, "exit_code", ExitCode.RUN_FAILED))
    finally:
        display.close()
    return code


def _job(submission: Found, folder: Path, options: ScoreOptions) -> tuple[Job, Settings]:
    """The run that left the samples, planned again as it was.

    Raises:
        RunFailed: If what is beside the samples cannot be read.
        ResultsError: If the submission, its settings or the data are no longer those of the samples.
        DataError: If the data set is not here.
    """
    spec = read_report(folder / WORK / "evaluate" / SPEC, JobSpec)
    settings = Settings(
        profile=spec.protocol.profile,
        seeds=f"{spec.seed},",
        variants=spec.variant,
        device=spec.device.partition(":")[0],
        results=options.results,
        data_root=resolve_root(options.data_root),
        embedded=spec.data.name == submission.track.embedded_data,
        precision=spec.execution.precision,
    )
    plan, problems = make_plan([submission], settings)
    for error in problems:
        raise error
    (job,) = plan.jobs()
    if job.folder != folder:
        raise ResultsError(
            f"{folder}: its samples are of other code, settings or data than there are now ({job.folder.name}); "
            "check out what drew them, or run it again"
        )
    return job, settings


def _score(job: Job, settings: Settings, device: str, executor: Executor, display: Display) -> None:
    begun = read_report(job.folder / WORK / BEGUN, Begun)
    job.entry.verification = begun.verification
    spec = job.spec(settings).model_copy(update={"device": device})
    display.started(job)
    assignment = Assignment(spec, ("score",), UNLIMITED)
    done = executor.run(assignment, lambda event: display.progress(job, event), threading.Event())
    if done.failure is not None:
        raise ResultsError(f"{done.failure.reason}; log: {spec.work / LOG}")
    display.finished(job, _record(job, settings, begun, done))


def _record(job: Job, settings: Settings, begun: Begun, done: Done) -> Record:
    """The record of a run whose training process has said where it ran, and that was scored here."""
    scores = read_report(job.folder / WORK / "score" / REPORT["score"], Scores)
    drawn = replace(
        done,
        environment={"scored_on": scores.environment},
        jobs_side_by_side=begun.jobs_side_by_side,
        walls=Walls(**begun.walls),
    )
    return record_success(job, begun.verification, settings, begun.started_at, drawn)
