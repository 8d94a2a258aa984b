"""Records of jobs: check the reports of a job's processes, write the record, and clear the work folder."""

import contextlib
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.documents.checksum import write_document
from bench.contract.jobs.files import CHECKPOINT, PICTURES, PROGRESS_FOLDER, REPORT, WEIGHTS, WORK
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
from bench.contract.records.record import Cost, Record, Timing, Training
from bench.errors import ContractError, ResultsError, RunFailed
from bench.files import write_bytes
from bench.harness.config import RunConfig
from bench.harness.executors.executor import JobResult
from bench.harness.executors.local import LOG, read_log, tail_of
from bench.harness.planning.plan import Job
from bench.harness.results.evaluation import classification_metrics, generation_metrics, load_array
from bench.pictures import save_sheet


def now() -> str:
    """Return the current UTC time in ISO 8601 format, as stored in records."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_success(
    job: Job,
    verification: Verification,
    config: RunConfig,
    started_at: str,
    result: JobResult,
) -> Record:
    """Score a finished job, write its record, and clear its work folder.

    Args:
        job: The job that was run.
        verification: The verification of its entry.
        config: The command's configuration.
        started_at: When its first phase started.
        result: The outcome of its phases as measured by the harness, which a submission cannot influence.

    Raises:
        RunFailed: If the predictions have a wrong shape or dtype.
        ContractError: If training reports another number of steps than required, or more time than has passed.
        ResultsError: If the results folder cannot be written.
    """
    assert verification.cost is not None  # jobs without a cost are not trained
    work = job.folder / WORK
    training = read_report(work / "train" / REPORT["train"], TrainingReport)
    report = read_report(work / "evaluate" / REPORT["evaluate"], EvaluationReport)
    cost = as_sampled(report, as_trained(training, verification.cost))
    verification = verification.model_copy(update={"cost": cost})
    check_training(training, job.entry.steps, result.train_seconds)
    scores = read_report(work / "score" / REPORT["score"], Scores) if job.generates else None
    evaluation = classification_metrics(job, report) if scores is None else generation_metrics(scores)
    _copy_artifacts(job, work)
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
            **_execution_environment(job, config, result),
        },
        timing=Timing(
            started_at=started_at,
            finished_at=now(),
            attempt=_attempt(job),
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


def record_real_images(job: Job, started_at: str, result: JobResult) -> Record:
    """Write the record of real images that were scored like samples.

    Raises:
        RunFailed: If the process left no scores.
        ResultsError: If the results folder cannot be written.
    """
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
            started_at=started_at,
            finished_at=now(),
            attempt=_attempt(job),
            resumes=0,
            scoring_seconds=scores.seconds,
            peak_memory_bytes=scores.peak_memory_bytes,
        ),
    )
    _write(job, record)
    shutil.rmtree(job.folder, ignore_errors=True)
    return record


def record_failure(
    job: Job,
    config: RunConfig,
    failure: Failure,
    started_at: str,
    result: JobResult,
    log: str | None = None,
) -> Record:
    """Write the record of a failed job. Its work folder stays, for inspection or to resume from.

    Args:
        job: The failed job, which may not have been started.
        config: The command's configuration.
        failure: The reason of the failure.
        started_at: When its first phase started.
        result: The outcome of its phases.
        log: The log of its verification, if that failed; None to read the log in the work folder.

    Raises:
        ResultsError: If the results folder cannot be written.
    """
    verification = job.entry.verification
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
        environment={**environment, **result.environment, **_execution_environment(job, config, result)},
        timing=Timing(started_at=started_at, finished_at=now(), attempt=_attempt(job), resumes=0),
    )
    try:
        _write(job, record)
    except RunFailed as error:  # the verified config or cost cannot be stored: write the record without them
        reduced = {
            "config": {},
            "cost": None,
            "environment": {**result.environment},
            "reason": f"{failure.reason}; {error}",
        }
        record = record.model_copy(update=reduced)
        _write(job, record)
    return record


def _execution_environment(job: Job, config: RunConfig, result: JobResult) -> dict[str, Any]:
    return {
        "jobs_side_by_side": result.jobs_side_by_side,
        "sandbox": asdict(result.sandbox),
        "execution": job.execution(config).model_dump(),
    }


def _record(job: Job, verification: Verification | None, **fields: Any) -> Record:
    entry = job.entry
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
        profile_seeds=entry.source.track.profile(entry.protocol.profile).seeds,
        **fields,
    )


def _attempt(job: Job) -> int:
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


def as_trained(training: TrainingReport, cost: Cost) -> Cost:
    """Add buffers that training changed only after its first two steps to the cost's parameter count."""
    late = training.params_after - cost.params
    if late <= 0:
        return cost
    warning = f"{late:,} scalars in buffers changed only after the first training steps; they count as parameters"
    return cost.model_copy(
        update={
            "params": training.params_after,
            "params_by_module": {**cost.params_by_module, "buffers found after training": late},
            "warnings": [*(cost.warnings or []), warning],
        }
    )


def as_sampled(report: EvaluationReport, cost: Cost) -> Cost:
    """Scale the cost to the counted network evaluations of sampling, if they differ from the verified number."""
    evaluations = report.image_evaluations
    if evaluations is None or evaluations == cost.evaluations_per_sample * report.images:
        return cost
    mean = evaluations / report.images
    ratio = mean / cost.evaluations_per_sample
    warning = (
        f"sample evaluated the network {mean:,.2f} times per image, but {cost.evaluations_per_sample:,} times "
        "during verification; MACs are scaled to the first number"
    )
    return cost.model_copy(
        update={
            "evaluations_per_sample": mean,
            "macs_per_image": round(cost.macs_per_image * ratio),
            "macs_by_operator": {name: round(macs * ratio) for name, macs in cost.macs_by_operator.items()},
            "warnings": [*(cost.warnings or []), warning],
        }
    )


def check_training(training: TrainingReport, steps: int, phase_seconds: float | None) -> None:
    """Raise ContractError if the reported steps differ, or the reported time exceeds that of the process."""
    if training.steps != steps:
        raise ContractError(f"training reports {training.steps:,} steps, expected {steps:,}")
    if phase_seconds is not None and training.resumes == 0 and training.seconds > phase_seconds:
        raise ContractError(
            f"training reports {training.seconds:,.1f} s, but its process took only {phase_seconds:,.1f} s"
        )


def _copy_artifacts(job: Job, work: Path) -> None:
    """Copy artifacts out of the work folder, not move them: a crash before the record must lose nothing."""
    for path in (work / "train" / WEIGHTS, work / LOG):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path, job.folder / path.name)
    for picture in PICTURES:
        for path in (work / phase / picture.array for phase in ("evaluate", "score")):
            if not path.exists():
                continue
            images = load_array(path)
            if images.shape[1:] != job.entry.dataset.used.image_shape or images.dtype != np.uint8:
                raise RunFailed(
                    f"{picture.array}: found {images.shape} {images.dtype}, not uint8 in the data set's shape"
                )
            save_sheet(images, job.folder / picture.png, picture.columns)
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(work / "train" / PROGRESS_FOLDER, job.folder / PROGRESS_FOLDER, dirs_exist_ok=True)
    (work / "train" / CHECKPOINT).unlink(missing_ok=True)
