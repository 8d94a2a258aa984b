"""Macro F1, balanced and worst-class accuracy of confusion matrices that were computed by hand."""

from fractions import Fraction

import numpy as np
import pytest

from bench.measure.metrics.classification import score


def logits_of(predicted: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[predicted]


def test_confusion_matrix_by_hand() -> None:
    # Label 0: 3 right, 1 taken for 1. Label 1: 1 right, 1 taken for 0. Label 2: 1 image, taken for 0.
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    scores = score(logits_of([0, 0, 0, 1, 1, 0, 0], 3), labels)
    # F1 = 2 TP / (2 TP + FP + FN): 6 / (6 + 2 + 1), 2 / (2 + 1 + 1), 0 / (0 + 0 + 1).
    assert scores.macro_f1 == pytest.approx(float((Fraction(2, 3) + Fraction(1, 2) + 0) / 3), abs=1e-15)
    assert scores.balanced_accuracy == pytest.approx(float((Fraction(3, 4) + Fraction(1, 2) + 0) / 3), abs=1e-15)
    assert scores.worst_class_accuracy == 0
    assert scores.top1_accuracy == pytest.approx(4 / 7)


def test_class_in_neither_labels_nor_predictions_is_left_out() -> None:
    # Class 3 never occurs. Class 2 has no image, but one prediction: its F1 is 0, and it has no recall.
    scores = score(logits_of([0, 0, 1, 2], 4), np.array([0, 0, 1, 1]))
    assert scores.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-15)
    assert scores.balanced_accuracy == pytest.approx(3 / 4) and scores.worst_class_accuracy == 0.5
    assert scores.per_class_accuracy == (1.0, 0.5, None, None)


def test_perfect_predictions_of_some_classes_have_the_highest_scores() -> None:
    scores = score(logits_of([4, 4, 1], 9), np.array([4, 4, 1]))
    assert (scores.macro_f1, scores.balanced_accuracy, scores.worst_class_accuracy) == (1, 1, 1)


def test_tie_counts_as_a_wrong_prediction_of_another_class() -> None:
    # As in top-1 accuracy: constant logits are wrong everywhere, so that no class has a true positive.
    scores = score(np.zeros((4, 3), np.float32), np.array([0, 0, 1, 2]))
    assert (scores.top1_accuracy, scores.macro_f1, scores.balanced_accuracy) == (0, 0, 0)
    # The label 1 ties with class 2, and is predicted as 2, whose F1 falls to 2 / (2 + 1): 0 from class 1.
    tied = np.array([[0, 5, 5], [0, 0, 5]], np.float32)
    assert score(tied, np.array([1, 2])).macro_f1 == pytest.approx((0 + 2 / 3) / 2, abs=1e-15)


def test_averages_equal_a_loop_over_a_confusion_matrix() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 400)
    logits = generator.normal(size=(400, 8)).astype(np.float32)
    logits[np.arange(400), labels] += 1
    confusion = np.zeros((8, 8), int)
    for label, predicted in zip(labels, logits.argmax(1), strict=True):
        confusion[label, predicted] += 1
    f1 = []
    for k in range(8):
        precision = confusion[k, k] / confusion[:, k].sum()
        recall = confusion[k, k] / max(1, confusion[k].sum())
        f1.append(0 if confusion[k, k] == 0 else 2 * precision * recall / (precision + recall))
    recalls = [confusion[k, k] / confusion[k].sum() for k in range(7)]
    scores = score(logits, labels)
    assert scores.macro_f1 == pytest.approx(np.mean(f1)) and confusion[:, 7].sum() > 0
    assert scores.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert scores.worst_class_accuracy == pytest.approx(min(recalls))
