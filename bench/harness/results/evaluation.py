"""Metrics of a job: score its predictions here, or read the scores of its samples from the score phase."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.documents.bitmap import pack_bits
from bench.contract.jobs.files import AS_PUBLISHED_LOGITS, LOGITS, REPORT, WORK
from bench.contract.jobs.reports import EvaluationReport, Scores, read_report
from bench.contract.records.record import Evaluation
from bench.contract.tracks import OFFICIAL
from bench.errors import RunFailed
from bench.harness.planning.plan import Job
from bench.measure.metrics.classification import per_batch_accuracy, score


def evaluation_of(job: Job) -> Evaluation:
    """Compute the metrics from the files in a job's work folder, without writing a record.

    Raises:
        RunFailed: If the predictions have a wrong shape or dtype.
    """
    work = job.folder / WORK
    if job.generates:
        return generation_metrics(read_report(work / "score" / REPORT["score"], Scores))
    return classification_metrics(job, read_report(work / "evaluate" / REPORT["evaluate"], EvaluationReport))


def generation_metrics(scores: Scores) -> Evaluation:
    """Return the metrics of samples, as the score phase computed them."""
    return Evaluation(metrics=scores.metrics, intervals=scores.intervals, as_published=scores.as_published)


def classification_metrics(job: Job, report: EvaluationReport) -> Evaluation:
    """Score predictions against the evaluation labels, which no submission process receives.

    Raises:
        RunFailed: If the predictions have a wrong shape or dtype.
    """
    work, dataset = job.folder / WORK, job.entry.dataset
    logits = load_array(work / "evaluate" / LOGITS)
    scores = score(logits, dataset.evaluation_labels)
    metrics = {
        "top1_accuracy": scores.top1_accuracy,
        "top5_accuracy": scores.top5_accuracy,
        "macro_f1": scores.macro_f1,
        "balanced_accuracy": scores.balanced_accuracy,
        "worst_class_accuracy": scores.worst_class_accuracy,
        "nll": scores.nll,
        "ece_15": scores.ece_15,
    }
    correct = scores.correct
    if dataset.also_in_train.any():
        metrics["top1_accuracy_without_train_duplicates"] = float(correct[~dataset.also_in_train].mean())
    if dataset.near_duplicates is not None:
        metrics["top1_accuracy_without_near_duplicates"] = float(correct[~dataset.near_duplicates].mean())
    official = job.entry.protocol.profile == OFFICIAL
    return Evaluation(
        metrics=metrics,
        correct=pack_bits(correct) if official else None,
        per_class_accuracy=list(scores.per_class_accuracy),
        as_published=_as_published(job),
        batch_independent=report.batch_independent,
        batch_dependence=report.batch_dependence,
    )


def _as_published(job: Job) -> dict[str, float]:
    """Compute the accuracy as the paper did, with its standard deviation over batches (not over seeds)."""
    settings = job.entry.source.manifest.as_published
    if settings is None:
        return {}
    logits = load_array(job.folder / WORK / "evaluate" / AS_PUBLISHED_LOGITS)
    labels = job.entry.dataset.evaluation_labels
    mean, std, _ = per_batch_accuracy(logits, labels, settings.batch_size, drop_last=False)
    top1 = score(logits, labels).top1_accuracy
    return {
        "top1_accuracy": mean if settings.average == "batches" else top1,
        "mean_of_batch_accuracies": mean,
        "std_over_batches": std,
    }


def load_array(path: Path) -> NDArray[Any]:
    """Read an array that a job's process wrote.

    Raises:
        RunFailed: If the file cannot be read, or needs pickle, which could execute code.
    """
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunFailed(f"{path.name}: cannot be read ({error})") from None
    return array
