"""Scores against torch, scikit-learn and hand computation."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, recall_score, top_k_accuracy_score

from bench.measure.metrics.classification import per_batch_accuracy, score


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 500)
    logits = generator.normal(size=(500, 10)).astype(np.float32)
    logits[np.arange(500), labels] += 1.5
    return logits, labels


def test_scores_equal_those_of_torch_and_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    scores = score(logits, labels)
    probabilities = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    assert scores.top1_accuracy == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert scores.top5_accuracy == pytest.approx(top_k_accuracy_score(labels, logits, k=5))
    assert scores.nll == pytest.approx(log_loss(labels, probabilities), abs=1e-6)
    assert scores.nll == pytest.approx(
        torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item(), abs=1e-5
    )
    assert list(scores.per_class_accuracy) == pytest.approx(
        list(recall_score(labels, logits.argmax(1), average=None))
    )


def test_calibration_error_equals_a_loop_over_bins(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    probabilities = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    confidence, predicted = probabilities.max(1), probabilities.argmax(1)
    expected = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            gap = abs((predicted[inside] == labels[inside]).mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert score(logits, labels).ece_15 == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_known_cases() -> None:
    # Certain and always right: 0. Certain and right half the time: 0.5.
    certain = np.array([[50, 0], [50, 0]], np.float32)
    assert score(certain, np.array([0, 0])).ece_15 == pytest.approx(0, abs=1e-12)
    assert score(certain, np.array([0, 1])).ece_15 == pytest.approx(0.5)


def test_constant_output_has_zero_accuracy() -> None:
    scores = score(np.zeros((4, 10), np.float32), np.array([0, 1, 2, 3]))
    assert scores.top1_accuracy == 0 and scores.top5_accuracy == 0
    assert scores.nll == pytest.approx(np.log(10))


def test_class_without_images_has_no_accuracy() -> None:
    assert score(np.eye(3, dtype=np.float32)[:2], np.array([0, 1])).per_class_accuracy == (1.0, 1.0, None)


def test_per_batch_accuracy_by_hand() -> None:
    logits = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1]]
    labels = np.array([0, 0, 1, 1, 1])  # right, right, wrong, right | right
    mean, std, batches = per_batch_accuracy(logits, labels, 4, drop_last=False)
    assert (mean, std, batches) == (pytest.approx(0.875), pytest.approx(0.125), 2)
    assert per_batch_accuracy(logits, labels, 4, drop_last=True) == (0.75, 0.0, 1)
    with pytest.raises(ValueError, match="`batch_size` is 6"):
        per_batch_accuracy(logits, labels, 6, drop_last=True)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 1]), "`logits` is .*float64"),
        (np.zeros((2, 3), np.float32), np.array([0, 1, 2]), "`labels` is"),
        (np.zeros((2, 3), np.float32), np.array([0, 3]), "ranges from 0 to 3"),
        (np.full((2, 3), np.nan, np.float32), np.array([0, 1]), "not finite"),
        (np.zeros((0, 3), np.float32), np.zeros(0, np.int64), "N at least 1"),
    ],
)
def test_invalid_arrays_are_refused(logits: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(logits, labels)
