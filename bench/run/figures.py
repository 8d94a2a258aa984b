"""The figures of what a job's processes left: predictions are scored here, samples were so before."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.bits import pack_bits
from bench.contract.jobs import (
    AS_PUBLISHED_LOGITS,
    LOGITS,
    REPORT,
    WORK,
    EvaluationReport,
    Scores,
    read_report,
)
from bench.contract.records import Evaluation
from bench.contract.tracks import OFFICIAL
from bench.errors import RunFailed
from bench.measure.classification import per_batch_accuracy, score
from bench.run.plan import Job


def evaluation_of(job: Job) -> Evaluation:
    """The figures of what the job's phases left so far, without a record.

    Raises:
        RunFailed: If they left predictions of a wrong shape or kind.
    """
    work = job.folder / WORK
    if job.generates:
        return generation_figures(read_report(work / "score" / REPORT["score"], Scores))
    return classification_figures(job, read_report(work / "evaluate" / REPORT["evaluate"], EvaluationReport))


def generation_figures(scores: Scores) -> Evaluation:
    """Of samples, as they were scored."""
    return Evaluation(metrics=scores.metrics, intervals=scores.intervals, as_published=scores.as_published)


def classification_figures(job: Job, report: EvaluationReport) -> Evaluation:
    """Of predictions, scored against labels that no submission's process was handed.

    Raises:
        RunFailed: If the predictions are of a wrong shape or kind.
    """
    work, facts = job.folder / WORK, job.entry.facts
    logits = load_array(work / "evaluate" / LOGITS)
    scores = score(logits, facts.evaluation_labels)
    metrics = {
        "top1_accuracy": scores.top1_accuracy,
        "top5_accuracy": scores.top5_accuracy,
        "nll": scores.nll,
        "ece_15": scores.ece_15,
    }
    correct = scores.correct
    if facts.also_in_train.any():
        metrics["top1_accuracy_without_train_duplicates"] = float(correct[~facts.also_in_train].mean())
    if facts.near_duplicates is not None:
        metrics["top1_accuracy_without_near_duplicates"] = float(correct[~facts.near_duplicates].mean())
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
    """Accuracy as the paper's author measured it, with the ± that is a spread over batches, not seeds."""
    settings = job.entry.found.manifest.as_published
    if settings is None:
        return {}
    logits = load_array(job.folder / WORK / "evaluate" / AS_PUBLISHED_LOGITS)
    labels = job.entry.facts.evaluation_labels
    mean, std, _ = per_batch_accuracy(logits, labels, settings.batch_size, drop_last=False)
    top1 = score(logits, labels).top1_accuracy
    return {
        "top1_accuracy": mean if settings.average == "batches" else top1,
        "mean_of_batch_accuracies": mean,
        "std_over_batches": std,
    }


def load_array(path: Path) -> NDArray[Any]:
    """An array that a job's process left.

    Raises:
        RunFailed: If it cannot be read without running what it holds.
    """
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunFailed(f"{path.name}: cannot be read ({error})") from None
    return array
