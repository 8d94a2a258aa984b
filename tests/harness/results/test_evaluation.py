"""Metrics from predictions: correctly classified images, and accuracies without duplicates."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.contract.documents.bitmap import unpack_bits
from bench.contract.jobs.files import LOGITS, WORK
from bench.contract.jobs.reports import EvaluationReport
from bench.contract.tracks import load_tracks, protocol_of
from bench.harness.results.evaluation import classification_metrics

LABELS = np.arange(40) % 4
RIGHT = np.arange(40) % 3 != 0


def job(folder: Path, profile: str, near: np.ndarray | None) -> Any:
    logits = np.zeros((40, 4), np.float32)
    logits[np.arange(40), np.where(RIGHT, LABELS, (LABELS + 1) % 4)] = 1.0
    (folder / WORK / "evaluate").mkdir(parents=True)
    np.save(folder / WORK / "evaluate" / LOGITS, logits)
    dataset = SimpleNamespace(evaluation_labels=LABELS, also_in_train=np.arange(40) < 2, near_duplicates=near)
    protocol = protocol_of(load_tracks()["cifar100-classification"], profile, "cifar100")
    source = SimpleNamespace(manifest=SimpleNamespace(as_published=None))
    return SimpleNamespace(folder=folder, entry=SimpleNamespace(dataset=dataset, protocol=protocol, source=source))


REPORT = EvaluationReport(
    images=40,
    batch_independent=True,
    batch_dependence=0.0,
    image_evaluations=None,
    sampling_seconds=None,
    seconds=1.0,
    peak_memory_bytes=1,
)


def test_official_run_records_correct_images_and_deduplicated_accuracies(tmp_path: Path) -> None:
    near = np.arange(40) % 5 == 0
    evaluation = classification_metrics(job(tmp_path, "official", near), REPORT)
    assert evaluation.correct is not None and np.array_equal(unpack_bits(evaluation.correct, 40), RIGHT)
    assert evaluation.metrics["top1_accuracy"] == RIGHT.mean()
    assert evaluation.metrics["top1_accuracy_without_train_duplicates"] == pytest.approx(RIGHT[2:].mean())
    assert evaluation.metrics["top1_accuracy_without_near_duplicates"] == pytest.approx(RIGHT[~near].mean())


def test_other_profiles_record_no_correct_images(tmp_path: Path) -> None:
    evaluation = classification_metrics(job(tmp_path, "quick", None), REPORT)
    assert evaluation.correct is None and "top1_accuracy_without_near_duplicates" not in evaluation.metrics
