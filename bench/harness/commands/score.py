"""``bench score``: score stored samples that have no metrics yet, and write their records."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contract.jobs.files import REPORT, RUN_CONTEXT, SPEC, WORK
from bench.contract.jobs.reports import RunContext, Scores, read_report
from bench.contract.jobs.spec import JobSpec
from bench.contract.records.record import Record
from bench.data.store import data_root as resolve_root
from bench.data.store import drawn_counterpart
from bench.errors import BenchError, DataError, ExitCode, ResultsError
from bench.harness.config import RunConfig
from bench.harness.executors.executor import UNLIMITED, Executor, JobRequest, JobResult, LocalExecutor
from bench.harness.executors.local import LOG
from bench.harness.executors.sandbox import Sandbox
from bench.harness.planning.devices import choose_device, usable_cores
from bench.harness.planning.plan import Job
from bench.harness.planning.planner import make_plan
from bench.harness.progress.base import Display
from bench.harness.progress.choose import choose_display
from bench.harness.results.packing import unscored
from bench.harness.results.recording import Attempt, record_success
from bench.harness.submissions.discovery import SubmissionSource, submissions_of
from bench.locks import locked
from bench.measure.metrics.weights import ALL, missing


@dataclass(frozen=True)
class ScoreOptions:
    """The options of ``bench score``."""

    paths: list[Path]
    device: str
    data_root: Path | None
    track: Path | None
    results: Path
    threads: int | None = None  # None for all cores
    log_format: str = "auto"


def score_command(options: ScoreOptions) -> ExitCode:
    """Score all unscored samples of the submissions.

    Returns:
        0, or the most severe exit code of all failures. Samples that could not be scored stay unchanged.

    Raises:
        DataError: If weights for the metrics are missing.
        UsageError: If an option is invalid.
    """
    reason = missing(*ALL)
    if reason is not None:
        raise DataError(reason)
    submissions, broken = submissions_of(options.paths, options.track)
    by_name = {submission.name: submission for submission in submissions}
    device = choose_device(options.device)
    code = max([ExitCode.OK, *(error.exit_code for _, error in broken)])
    folders = [folder for folder in unscored(options.results) if folder.parent.parent.name in by_name]
    if not folders:
        print(f"nothing to do: no unscored samples in {options.results}")
    threads = options.threads or usable_cores()
    display, executor = choose_display(options.log_format), LocalExecutor(device, 1)
    try:
        for _, error in broken:
            display.problem(str(error))
        for folder in folders:
            try:
                with locked(folder.with_suffix(".lock")):
                    job, config = _job(by_name[folder.parent.parent.name], folder, options)
                    _score(job, replace(config, threads=threads), device, executor, display)
            except (BenchError, OSError) as error:
                display.problem(f"{folder.parent.parent.name} {folder.name}: {error}")
                code = max(code, getattr(error, "exit_code", ExitCode.RUN_FAILED))
    finally:
        display.close()
    return code


def _job(submission: SubmissionSource, folder: Path, options: ScoreOptions) -> tuple[Job, RunConfig]:
    """Return the job that drew the samples in ``folder``, with its configuration.

    Raises:
        RunFailed: If the specification next to the samples cannot be read.
        ResultsError: If the submission's code, its settings or the data have changed since.
        DataError: If the data set is missing.
    """
    spec = read_report(folder / WORK / "evaluate" / SPEC, JobSpec)
    config = RunConfig(
        profile=spec.protocol.profile,
        seeds=f"{spec.seed},",
        variants=spec.variant,
        device=spec.device.partition(":")[0],
        results=options.results,
        data_root=resolve_root(options.data_root),
        embedded=spec.data.name == drawn_counterpart(submission.track),
        precision=spec.execution.precision,
    )
    plan = make_plan([submission], config)
    for error in plan.problems:
        raise error
    (job,) = plan.jobs
    if job.folder != folder:
        raise ResultsError(
            f"{folder}: its samples come from other code, settings or data than the current ones "
            f"({job.folder.name}); check out the code that drew them, or repeat the run"
        )
    return job, config


def _score(job: Job, config: RunConfig, device: str, executor: Executor, display: Display) -> None:
    context = read_report(job.folder / WORK / RUN_CONTEXT, RunContext)
    spec = job.spec(config, context.verification).model_copy(update={"device": device})
    display.started(job)
    request = JobRequest(spec, ("score",), UNLIMITED)
    result = executor.run(request, lambda event: display.progress(job, event), threading.Event())
    if result.failure is not None:
        raise ResultsError(f"{result.failure.reason}; log: {spec.work / LOG}")
    display.finished(job, _record(job, config, context, result))


def _record(job: Job, config: RunConfig, context: RunContext, result: JobResult) -> Record:
    """Write the record of a run that was trained elsewhere or earlier, as ``context`` says, and scored here."""
    scores = read_report(job.folder / WORK / "score" / REPORT["score"], Scores)
    combined = replace(
        result,
        environment={"scored_on": scores.environment},
        jobs_side_by_side=context.jobs_side_by_side,
        sandbox=Sandbox(**context.sandbox),
    )
    return record_success(Attempt(job, config, context.verification, context.started_at), combined)
