"""Scores of a classifier, from its logits and the labels. No torch: the parent, which holds the labels, scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

ECE_BINS = 15


@dataclass(frozen=True)
class ClassificationScores:
    """Fractions in [0, 1], but for ``nll``, which is in nats."""

    top1_accuracy: float
    top5_accuracy: float
    nll: float
    ece_15: float
    per_class_accuracy: tuple[float | None, ...]  # top-1; None for a class without images
    images: int
    correct: NDArray[np.bool_]  # (N,)


def score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> ClassificationScores:
    """Top-1 and top-5 accuracy, negative log-likelihood, expected calibration error, accuracy a class.

    A prediction counts as right when fewer than k classes score at least as high as the label's (itself
    left out), so that a network that gives every class the same score is wrong everywhere, and not right on
    the first class.

    Args:
        logits: (N, K) float32, finite.
        labels: (N,) int64 in [0, K).

    Returns:
        The scores. The calibration error has 15 bins of equal width on the highest probability (Guo et al.
        2017, arXiv 1706.04599, equation 3).

    Raises:
        ValueError: If a shape, dtype or range is not as said.
    """
    _check(logits, labels)
    count, classes = logits.shape
    own = logits[np.arange(count), labels]
    rivals = (logits >= own[:, None]).sum(axis=1) - 1
    right = rivals == 0
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return ClassificationScores(
        top1_accuracy=float(right.mean()),
        top5_accuracy=float((rivals < min(5, classes)).mean()),
        nll=float(-log_probabilities[np.arange(count), labels].mean()),
        ece_15=_calibration_error(np.exp(log_probabilities.max(axis=1)), right),
        per_class_accuracy=_per_class(right, labels, classes),
        images=count,
        correct=right,
    )


def per_batch_accuracy(
    logits: NDArray[np.float32], labels: NDArray[np.int64], batch_size: int, *, drop_last: bool
) -> tuple[float, float, int]:
    """Mean, spread and number of the accuracies of consecutive batches: the "±" of the five papers.

    A short last batch, if kept, weighs as much as a full one, as it does when batch accuracies are averaged.
    The spread is the population standard deviation, numpy's default, over batches of one run: it says how
    noisy a batch is, not how a training varies.

    Raises:
        ValueError: If an array is not as ``score`` wants it, or no batch is left.
    """
    _check(logits, labels)
    own = logits[np.arange(len(labels)), labels]
    right = ((logits >= own[:, None]).sum(axis=1) == 1).astype(np.float64)
    starts = range(0, len(right) - (batch_size - 1 if drop_last else 0), batch_size)
    batches = [right[start : start + batch_size].mean() for start in starts]
    if not batches:
        raise ValueError(f"`batch_size` is {batch_size}; with `drop_last` it must be at most {len(right)}")
    return float(np.mean(batches)), float(np.std(batches)), len(batches)


def _per_class(right: NDArray[np.bool_], labels: NDArray[np.int64], classes: int) -> tuple[float | None, ...]:
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels, weights=right, minlength=classes)
    return tuple(float(hit / count) if count else None for hit, count in zip(hits, counts, strict=True))


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    # Bins are (0, 1/15], (1/15, 2/15], ..., as in the paper.
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(right))


def _check(logits: Any, labels: Any) -> None:
    if logits.ndim != 2 or logits.dtype != np.float32 or not len(logits):
        raise ValueError(f"`logits` is {logits.shape} {logits.dtype}; it must be (N, K) float32, N at least 1")
    if labels.shape != logits.shape[:1] or labels.dtype != np.int64:
        raise ValueError(f"`labels` is {labels.shape} {labels.dtype}; it must be ({len(logits)},) int64")
    if not np.isfinite(logits).all():
        raise ValueError(f"`logits` has {int((~np.isfinite(logits)).sum())} values that are not finite")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"`labels` goes from {labels.min()} to {labels.max()}; it must be in [0, {logits.shape[1]})"
        )
