"""From what a job's processes left to its record: checking, writing, clearing up."""

import contextlib
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.jobs import (
    CHECKPOINT,
    PICTURES,
    PROGRESS_FOLDER,
    REPORT,
    WEIGHTS,
    WORK,
    EvaluationReport,
    Failure,
    Scores,
    TrainingReport,
    Verification,
    read_report,
)
from bench.contract.records import (
    Cost,
    Record,
    Timing,
    Training,
    check_record,
    reasons_against_ranking,
    write_record,
)
from bench.contract.sealing import write_document
from bench.errors import ContractError, ResultsError, RunFailed
from bench.files import write_bytes
from bench.pictures import save_sheet
from bench.run.executors.executor import Done
from bench.run.executors.local import LOG, read_log, tail_of
from bench.run.figures import classification_figures, generation_figures, load_array
from bench.run.plan import Job
from bench.run.settings import Settings


def now() -> str:
    """The time as records hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_success(
    job: Job,
    verification: Verification,
    settings: Settings,
    started_at: str,
    done: Done,
) -> Record:
    """Score a finished job, write its record, and clear its work folder.

    Args:
        job: What was run.
        verification: What was found before.
        settings: Of the command.
        started_at: When its first phase began.
        done: How its phases went, as the harness's process saw it: that is not the submission's to say.

    Raises:
        RunFailed: If the processes left predictions of a wrong shape or kind.
        ContractError: If training reports other steps than it was given, or more time than has passed.
        ResultsError: If the results folder cannot be written.
    """
    assert verification.cost is not None  # nothing was trained without
    work = job.folder / WORK
    training = read_report(work / "train" / REPORT["train"], TrainingReport)
    report = read_report(work / "evaluate" / REPORT["evaluate"], EvaluationReport)
    cost = as_sampled(report, as_trained(training, verification.cost))
    verification = verification.model_copy(update={"cost": cost})
    check_training(training, job.entry.steps, done.train_seconds)
    scores = read_report(work / "score" / REPORT["score"], Scores) if job.generates else None
    evaluation = classification_figures(job, report) if scores is None else generation_figures(scores)
    _keep_artifacts(job, work)
    trained = Training(**training.model_dump(include=set(Training.model_fields)))
    record = _record(
        job,
        verification,
        status="ok",
        training=trained,
        evaluation=evaluation,
        not_measured={} if scores is None else scores.not_measured,
        metric_weights={} if scores is None else scores.weights,
        unranked_because=reasons_against_ranking(
            job.entry.protocol, job.entry.facts.used, cost, trained, evaluation
        ),
        environment={**training.environment, **done.environment, **_surroundings(job, settings, done)},
        timing=Timing(
            started_at=started_at,
            finished_at=now(),
            attempt=_attempt(job),
            resumes=training.resumes,
            training_seconds=training.seconds,
            train_phase_seconds=done.train_seconds,
            training_joules=done.train_joules if training.resumes == 0 else None,
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
        # Samples stay, so that the same command measures the rest once there are weights.
        (work / "score" / REPORT["score"]).unlink(missing_ok=True)
    else:
        shutil.rmtree(work, ignore_errors=True)
    return record


def record_floor(job: Job, started_at: str, done: Done) -> Record:
    """Write the record of real images that were scored as if they were samples.

    Raises:
        RunFailed: If the process left no scores.
        ResultsError: If the results folder cannot be written.
    """
    work = job.folder / WORK
    scores = read_report(work / "floor" / REPORT["floor"], Scores)
    record = _record(
        job,
        None,
        status="ok",
        evaluation=generation_figures(scores),
        not_measured=scores.not_measured,
        metric_weights=scores.weights,
        unranked_because=["real images"],
        environment={**scores.environment, **done.environment, "jobs_side_by_side": 1},
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
    settings: Settings,
    failure: Failure,
    started_at: str,
    done: Done,
    log: str | None = None,
) -> Record:
    """Write the record of a job that ended without a result. Its work folder stays, to be looked at or resumed.

    Args:
        job: What was run, or was to be run.
        settings: Of the command.
        failure: Why it ended.
        started_at: When its first phase began.
        done: How its phases went.
        log: What was printed, if that was in a verification; None for what is in the work folder.

    Raises:
        ResultsError: If the results folder cannot be written.
    """
    verification = job.entry.verification
    environment = {} if verification is None else verification.environment
    log = read_log(job.folder / WORK) if log is None else log
    log = log.replace(str(job.entry.found.folder), job.entry.found.name)  # published: no local paths
    with contextlib.suppress(OSError):  # the record matters more
        write_bytes(job.log, log.encode())
    record = _record(
        job,
        verification,
        status=failure.status,
        reason=failure.reason,
        log_tail=tail_of(log),
        unranked_because=[f"failed: {failure.status}"],
        environment={**environment, **done.environment, **_surroundings(job, settings, done)},
        timing=Timing(started_at=started_at, finished_at=now(), attempt=_attempt(job), resumes=0),
    )
    try:
        _write(job, record)
    except RunFailed as error:  # what was verified is what cannot be kept
        bare = {
            "config": {},
            "cost": None,
            "environment": {**done.environment},
            "reason": f"{failure.reason}; {error}",
        }
        record = record.model_copy(update=bare)
        _write(job, record)
    return record


def _surroundings(job: Job, settings: Settings, done: Done) -> dict[str, Any]:
    return {
        "jobs_side_by_side": done.jobs_side_by_side,
        "walls": asdict(done.walls),
        "execution": job.execution(settings).model_dump(),
    }


def _record(job: Job, verification: Verification | None, **fields: Any) -> Record:
    entry = job.entry
    return Record(
        identity=job.identity,
        protocol=entry.protocol,
        task=entry.protocol.task,
        config={} if verification is None else verification.config,
        sources=entry.found.sources,
        claims=entry.claims,
        as_published=entry.found.manifest.as_published,
        data=entry.facts.used,
        cost=None if verification is None else verification.cost,
        profile_seeds=entry.found.track.profile(entry.protocol.profile).seeds,
        **fields,
    )


def _attempt(job: Job) -> int:
    return 1 if job.earlier is None else job.earlier.timing.attempt + 1


def _write(job: Job, record: Record) -> None:
    """Write the record; one that it replaces is kept as ``*.attempt<n>.json``, what is none as ``*.unusable``.

    At every moment there is one of the two.
    """
    suffix = ".unusable" if job.earlier is None else f".attempt{job.earlier.timing.attempt}.json"
    try:
        kept = job.path.read_bytes()
    except FileNotFoundError:
        kept = None
    except OSError as error:
        raise ResultsError(f"{job.path}: cannot be read ({error.strerror}), and would be replaced") from None
    check_record(record)
    if kept is not None:
        write_document(job.path.with_suffix(suffix), kept, option="--results")
    write_record(job.path, record)


def _sampling_times(report: EvaluationReport) -> dict[str, float]:
    if not report.sampling_seconds:
        return {}
    rate = report.images / report.sampling_seconds
    return {"sampling_images_per_s": rate, "seconds_per_10000_samples": 10_000 / rate}


def as_trained(training: TrainingReport, cost: Cost) -> Cost:
    """The cost, with buffers that training changed later than in its first two steps."""
    late = training.params_after - cost.params
    if late <= 0:
        return cost
    warning = f"{late:,} scalars in buffers that training changes were found after it; they count as parameters"
    return cost.model_copy(
        update={
            "params": training.params_after,
            "params_by_module": {**cost.params_by_module, "buffers found after training": late},
            "warnings": [*(cost.warnings or []), warning],
        }
    )


def as_sampled(report: EvaluationReport, cost: Cost) -> Cost:
    """The cost, with the network evaluations that sampling really took, where these hang on the weights."""
    taken = report.image_evaluations
    if taken is None or taken == cost.evaluations_per_sample * report.images:
        return cost
    mean = taken / report.images
    share = mean / cost.evaluations_per_sample
    warning = (
        f"sample evaluated the network {mean:,.2f} times per image, and {cost.evaluations_per_sample:,} times "
        "when it was verified; MACs are scaled to the former"
    )
    return cost.model_copy(
        update={
            "evaluations_per_sample": mean,
            "macs_per_image": round(cost.macs_per_image * share),
            "macs_by_operator": {name: round(macs * share) for name, macs in cost.macs_by_operator.items()},
            "warnings": [*(cost.warnings or []), warning],
        }
    )


def check_training(training: TrainingReport, steps: int, phase_seconds: float | None) -> None:
    """What its process says of training must be possible."""
    if training.steps != steps:
        raise ContractError(f"training reports {training.steps:,} steps, it was given {steps:,}")
    if phase_seconds is not None and training.resumes == 0 and training.seconds > phase_seconds:
        raise ContractError(
            f"training reports {training.seconds:,.1f} s, and its process took {phase_seconds:,.1f} s"
        )


def _keep_artifacts(job: Job, work: Path) -> None:
    """Copy what outlives the run out of the work folder, so that a crash before the record loses nothing."""
    for path in (work / "train" / WEIGHTS, work / LOG):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path, job.folder / path.name)
    for picture in PICTURES:
        for path in (work / phase / picture.array for phase in ("evaluate", "score")):
            if not path.exists():
                continue
            images = load_array(path)
            if images.shape[1:] != job.entry.facts.used.image_shape or images.dtype != np.uint8:
                raise RunFailed(
                    f"{picture.array}: found {images.shape} {images.dtype}, not uint8 images of the data"
                )
            save_sheet(images, job.folder / picture.png, picture.columns)
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(work / "train" / PROGRESS_FOLDER, job.folder / PROGRESS_FOLDER, dirs_exist_ok=True)
    (work / "train" / CHECKPOINT).unlink(missing_ok=True)
