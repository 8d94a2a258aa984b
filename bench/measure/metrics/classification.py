"""Classification metrics from logits and labels, without torch, since the parent process computes them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

ECE_BINS = 15


@dataclass(frozen=True)
class ClassificationScores:
    """Classification metrics: fractions in [0, 1], except ``nll``, which is in nats."""

    top1_accuracy: float
    top5_accuracy: float
    macro_f1: float  # unweighted mean of the F1 scores of the classes that occur in labels or predictions
    balanced_accuracy: float  # unweighted mean of the recalls of the classes with images
    worst_class_accuracy: float  # the lowest of these recalls
    nll: float
    ece_15: float
    per_class_accuracy: tuple[float | None, ...]  # top-1; None for a class without images
    images: int
    correct: NDArray[np.bool_]  # (N,), top-1


def score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> ClassificationScores:
    """Compute accuracies, macro F1, negative log-likelihood, calibration error and accuracy per class.

    A prediction is correct if fewer than k other classes have a logit at least as high as the label's. Ties thus
    count as errors: a network with constant logits has accuracy 0. The predicted class is the label where the
    prediction is correct, else the first of the other classes with the highest logit.

    Args:
        logits: (N, K) float32, finite.
        labels: (N,) int64 in [0, K).

    Returns:
        The metrics. The expected calibration error uses 15 bins of equal width of the highest probability (Guo et
        al. 2017, arXiv 1706.04599, equation 3).

    Raises:
        ValueError: If a shape, dtype or range is not as described above.
    """
    _check(logits, labels)
    count, classes = logits.shape
    label_logits = logits[np.arange(count), labels]
    rivals = (logits >= label_logits[:, None]).sum(axis=1) - 1
    correct = rivals == 0
    per_class = _per_class(correct, labels, classes)
    recalls = [recall for recall in per_class if recall is not None]
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return ClassificationScores(
        top1_accuracy=float(correct.mean()),
        top5_accuracy=float((rivals < min(5, classes)).mean()),
        macro_f1=_macro_f1(_predicted(logits, labels, correct), labels, classes),
        balanced_accuracy=math.fsum(recalls) / len(recalls),
        worst_class_accuracy=min(recalls),
        nll=float(-log_probabilities[np.arange(count), labels].mean()),
        ece_15=_calibration_error(np.exp(log_probabilities.max(axis=1)), correct),
        per_class_accuracy=per_class,
        images=count,
        correct=correct,
    )


def per_batch_accuracy(
    logits: NDArray[np.float32], labels: NDArray[np.int64], batch_size: int, *, drop_last: bool
) -> tuple[float, float, int]:
    """Return mean, standard deviation and number of the accuracies of consecutive batches: the papers' "±".

    A short last batch, if not dropped, has the same weight as a full one, as in a plain mean over batches. The
    standard deviation is the population one (numpy's default) over the batches of one run. It measures the noise
    of a batch, not the variation between trainings.

    Raises:
        ValueError: If an array does not meet the requirements of ``score``, or there is no batch.
    """
    _check(logits, labels)
    label_logits = logits[np.arange(len(labels)), labels]
    correct = ((logits >= label_logits[:, None]).sum(axis=1) == 1).astype(np.float64)
    starts = range(0, len(correct) - (batch_size - 1 if drop_last else 0), batch_size)
    batches = [correct[start : start + batch_size].mean() for start in starts]
    if not batches:
        raise ValueError(f"`batch_size` is {batch_size}; with `drop_last` it must be at most {len(correct)}")
    return float(np.mean(batches)), float(np.std(batches)), len(batches)


def _per_class(correct: NDArray[np.bool_], labels: NDArray[np.int64], classes: int) -> tuple[float | None, ...]:
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels, weights=correct, minlength=classes)
    return tuple(float(hit / count) if count else None for hit, count in zip(hits, counts, strict=True))


def _predicted(
    logits: NDArray[np.float32], labels: NDArray[np.int64], correct: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the predicted classes, (N,) int64, which equal the label exactly where ``correct`` says so."""
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return np.where(correct, labels, others.argmax(axis=1))


def _macro_f1(predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> float:
    """Return the mean of 2 TP / (2 TP + FP + FN) over classes; a class that occurs in neither has no F1 score."""
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    occurrences = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    occurs = occurrences > 0
    return math.fsum(2 * hits[occurs] / occurrences[occurs]) / int(occurs.sum())


def _calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    # Bins are (0, 1/15], (1/15, 2/15], ..., as in the paper.
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(correct))


def _check(logits: Any, labels: Any) -> None:
    if logits.ndim != 2 or logits.dtype != np.float32 or not len(logits):
        raise ValueError(f"`logits` is {logits.shape} {logits.dtype}; it must be (N, K) float32, N at least 1")
    if labels.shape != logits.shape[:1] or labels.dtype != np.int64:
        raise ValueError(f"`labels` is {labels.shape} {labels.dtype}; it must be ({len(logits)},) int64")
    if not np.isfinite(logits).all():
        raise ValueError(f"`logits` has {int((~np.isfinite(logits)).sum())} values that are not finite")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"`labels` ranges from {labels.min()} to {labels.max()}; it must be in [0, {logits.shape[1]})"
        )
