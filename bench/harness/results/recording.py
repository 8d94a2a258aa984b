"""Records of jobs: check the reports of a job's processes, write the record, and clear the work folder."""

import contextlib
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contract.documents.checksum import write_document
from bench.contract.jobs.files import REPORT, WEIGHTS, WORK
from bench.contract.jobs.reports import (
    EvaluationReport,
    Failure,
    Scores,
    TrainingReport,
    Verification,
    read_report,
)
from bench.contract.records.eligibility import reasons_against_ranking
from bench.contract.records.files import check_record, write_record
from bench.contract.records.record import Record, Timing, Training
from bench.errors import ContractError, ResultsError, RunFailed
from bench.files import write_bytes
from bench.harness.config import RunConfig
from bench.harness.executors.executor import JobResult
from bench.harness.executors.local import read_log, tail_of
from bench.harness.planning.plan import Job
from bench.harness.results.artifacts import copy_artifacts
from bench.harness.results.evaluation import classification_metrics, generation_metrics
from bench.harness.results.observed_cost import as_sampled, as_stored, as_trained
from bench.harness.results.weights_file import weight_bytes


def now() -> str:
    """Return the current UTC time in ISO 8601 format, as stored in records."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Attempt:
    """An attempt to run a job: what was known when its first phase started."""

    job: Job
    config: RunConfig
    verification: Verification | None  # of its entry; None for real images, which need none
    started_at: str  # UTC, ISO 8601


def record_success(attempt: Attempt, result: JobResult) -> Record:
    """Write the record of a finished job, and clear its work folder, unless metrics remain to be measured.

    A classifier's predictions are scored here; a generator's samples were scored by a phase of the job.

    Args:
        attempt: The attempt, whose entry was verified.
        result: The outcome of its phases as measured by the harness, which a submission cannot influence.

    Raises:
        RunFailed: If a phase left no report, or the predictions have a wrong shape or dtype.
        ContractError: If training reports another number of steps than required, or more time than has passed.
        ResultsError: If the results folder cannot be written.
    """
    job, verification = attempt.job, attempt.verification
    assert verification is not None and verification.cost is not None  # jobs without a cost are not trained
    work = job.folder / WORK
    training = read_report(work / "train" / REPORT["train"], TrainingReport)
    report = read_report(work / "evaluate" / REPORT["evaluate"], EvaluationReport)
    stored_bytes = weight_bytes(work / "train" / WEIGHTS)
    cost = as_stored(stored_bytes, as_sampled(report, as_trained(training, verification.cost)))
    verification = verification.model_copy(update={"cost": cost})
    check_training(training, job.entry.steps, result.train_seconds)
    scores = read_report(work / "score" / REPORT["score"], Scores) if job.generates else None
    evaluation = classification_metrics(job, report) if scores is None else generation_metrics(scores)
    copy_artifacts(job, work)
    training_record = Training(**training.model_dump(include=set(Training.model_fields)))
    record = _record(
        job,
        verification,
        status="ok",
        training=training_record,
        evaluation=evaluation,
        not_measured={} if scores is None else scores.not_measured,
        metric_weights={} if scores is None else scores.weights,
        unranked_because=reasons_against_ranking(
            job.entry.protocol, job.entry.dataset.used, cost, training_record, evaluation
        ),
        environment={
            **training.environment,
            **result.environment,
            **_execution_environment(attempt, result),
        },
        timing=Timing(
            started_at=attempt.started_at,
            finished_at=now(),
            attempt=_attempt_number(job),
            resumes=training.resumes,
            training_seconds=training.seconds,
            train_phase_seconds=result.train_seconds,
            training_joules=result.train_joules if training.resumes == 0 else None,
            evaluation_seconds=report.seconds,
            **_sampling_times(report),
            scoring_seconds=scores and scores.seconds,
            training_steps_per_s=verification.training_steps_per_s,
            inference_images_per_s=verification.inference_images_per_s,
            training_steps_per_s_tried=verification.tried,
            peak_memory_bytes=max(
                training.peak_memory_bytes, report.peak_memory_bytes, scores.peak_memory_bytes if scores else 0
            ),
        ),
    )
    _write(job, record)
    if record.not_measured:
        # Keep the samples, so that the same command computes the missing metrics once their weights are there.
        (work / "score" / REPORT["score"]).unlink(missing_ok=True)
    else:
        shutil.rmtree(work, ignore_errors=True)
    return record


def record_real_images(attempt: Attempt, result: JobResult) -> Record:
    """Write the record of real images that were scored like samples.

    Raises:
        RunFailed: If the process left no scores.
        ResultsError: If the results folder cannot be written.
    """
    job = attempt.job
    work = job.folder / WORK
    scores = read_report(work / "score_real" / REPORT["score_real"], Scores)
    record = _record(
        job,
        None,
        status="ok",
        evaluation=generation_metrics(scores),
        not_measured=scores.not_measured,
        metric_weights=scores.weights,
        unranked_because=["real images"],
        environment={**scores.environment, **result.environment, "jobs_side_by_side": 1},
        timing=Timing(
            started_at=attempt.started_at,
            finished_at=now(),
            attempt=_attempt_number(job),
            resumes=0,
            scoring_seconds=scores.seconds,
            peak_memory_bytes=scores.peak_memory_bytes,
        ),
    )
    _write(job, record)
    shutil.rmtree(job.folder, ignore_errors=True)
    return record


def record_failure(attempt: Attempt, failure: Failure, result: JobResult, log: str | None = None) -> Record:
    """Write the record of a failed job. Its work folder stays, for inspection or to resume from.

    Args:
        attempt: The failed attempt; it may have ended before the first phase started.
        failure: The reason of the failure.
        result: The outcome of its phases.
        log: The log of its verification, if that failed; None to read the log in the work folder.

    Raises:
        ResultsError: If the results folder cannot be written.
    """
    job, verification = attempt.job, attempt.verification
    environment = {} if verification is None else verification.environment
    log = read_log(job.folder / WORK) if log is None else log
    log = log.replace(str(job.entry.source.folder), job.entry.source.name)  # records are published: no local paths
    with contextlib.suppress(OSError):  # a missing log must not prevent the record
        write_bytes(job.log, log.encode())
    record = _record(
        job,
        verification,
        status=failure.status,
        reason=failure.reason,
        log_tail=tail_of(log),
        unranked_because=[f"failed: {failure.status}"],
        environment={**environment, **result.environment, **_execution_environment(attempt, result)},
        timing=Timing(started_at=attempt.started_at, finished_at=now(), attempt=_attempt_number(job), resumes=0),
    )
    try:
        _write(job, record)
    except RunFailed as error:  # the verified config or cost cannot be stored: write the record without them
        reduced = {
            "config": {},
            "cost": None,
            "environment": dict(result.environment),
            "reason": f"{failure.reason}; {error}",
        }
        record = record.model_copy(update=reduced)
        _write(job, record)
    return record


def _execution_environment(attempt: Attempt, result: JobResult) -> dict[str, Any]:
    return {
        "jobs_side_by_side": result.jobs_side_by_side,
        "sandbox": asdict(result.sandbox),
        "execution": attempt.job.execution(attempt.config, attempt.verification).model_dump(),
    }


def _record(job: Job, verification: Verification | None, **fields: Any) -> Record:
    entry, track = job.entry, job.entry.source.track
    return Record(
        identity=job.identity,
        protocol=entry.protocol,
        task=entry.protocol.task,
        config={} if verification is None else verification.config,
        sources=entry.source.sources,
        claims=entry.claims,
        as_published=entry.source.manifest.as_published,
        data=entry.dataset.used,
        cost=None if verification is None else verification.cost,
        profile_seeds=track.profile(entry.protocol.profile).seeds,
        advice=track.advice,
        shown_metrics=list(track.metrics),
        **fields,
    )


def _attempt_number(job: Job) -> int:
    return 1 if job.earlier is None else job.earlier.timing.attempt + 1


def _write(job: Job, record: Record) -> None:
    """Write a record. Keep a copy of a replaced record as ``*.attempt<n>.json``; if unreadable, as ``*.unusable``.

    The copy is written first, so that a crash at any time leaves the old or the new record.
    """
    suffix = ".unusable" if job.earlier is None else f".attempt{job.earlier.timing.attempt}.json"
    try:
        replaced = job.path.read_bytes()
    except FileNotFoundError:
        replaced = None
    except OSError as error:
        raise ResultsError(f"{job.path}: cannot be read ({error.strerror}), and would be replaced") from None
    check_record(record)
    if replaced is not None:
        write_document(job.path.with_suffix(suffix), replaced, option="--results")
    write_record(job.path, record)


def _sampling_times(report: EvaluationReport) -> dict[str, float]:
    if not report.sampling_seconds:
        return {}
    rate = report.images / report.sampling_seconds
    return {"sampling_images_per_s": rate, "seconds_per_10000_samples": 10_000 / rate}


def check_training(training: TrainingReport, steps: int, phase_seconds: float | None) -> None:
    """Raise ContractError if the reported steps differ, or the reported time exceeds that of the process."""
    if training.steps != steps:
        raise ContractError(f"training reports {training.steps:,} steps, expected {steps:,}")
    if phase_seconds is not None and training.resumes == 0 and training.seconds > phase_seconds:
        raise ContractError(
            f"training reports {training.seconds:,.1f} s, but its process took only {phase_seconds:,.1f} s"
        )


def check_writable(results: Path) -> None:
    """Check, before any work, that records can be written.

    Raises:
        ResultsError: If the folder is not writable; the message names it and the system's reason.
    """
    probe = results / "runs" / ".writable"
    try:
        write_bytes(probe, b"")
        probe.unlink(missing_ok=True)  # another command may have removed it already
    except OSError as error:
        raise ResultsError(f"{results}: cannot be written ({error.strerror}); choose another --results") from None
