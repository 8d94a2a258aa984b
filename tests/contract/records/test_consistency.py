"""A forged record with a valid checksum is refused if its fields contradict each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract.documents.bitmap import pack_bits
from bench.contract.documents.checksum import checksummed_bytes
from bench.contract.records.consistency import contradictions
from bench.contract.records.files import read_record, record_path, write_record
from bench.contract.records.record import Record
from bench.errors import ResultsError
from tests.report.committed import committed_records
from tests.report.making_contest import contest
from tests.report.making_records import make_record

CORRECT = np.arange(10_000) % 2 == 0  # every other image


def with_fields(section: str, **fields: Any) -> Callable[[Record], Record]:
    return lambda record: record.model_copy(update={section: getattr(record, section).model_copy(update=fields)})


def with_metric(name: str, value: float) -> Callable[[Record], Record]:
    def change(record: Record) -> Record:
        assert record.evaluation is not None
        return with_fields("evaluation", metrics={**record.evaluation.metrics, name: value})(record)

    return change


def with_curves(**fields: Any) -> Callable[[Record], Record]:
    def change(record: Record) -> Record:
        assert record.training is not None
        return with_fields("training", curves=record.training.curves.model_copy(update=fields))(record)

    return change


FORGED = [
    (lambda record: record.model_copy(update={"task": "generation"}), "under a protocol of classification"),
    (with_fields("cost", params=50_000), "the sum of its parts is 84,194"),
    (with_fields("cost", macs_per_image=1), "macs_per_image 1, the sum of its parts"),
    (with_fields("identity", protocol_hash="0"), "protocol_hash 0, the protocol has hash"),
    (with_fields("identity", seed=-3), "seed -3, which is negative"),
    (lambda r: r.model_copy(update={"cost": None}), "status ok without cost, training or evaluation"),
    (with_fields("identity", steps=5_000), "trained for 10,000 steps, in a run of 5,000"),
    (with_fields("training", params_after=1), "1 parameters after training"),
    (with_fields("training", epochs=1.0), "1 epochs, steps × batch size / images is 25.6"),
    (with_curves(steps=[5_000, 9_000]), "end at step 9,000 of 10,000"),
    (with_curves(steps=[10_000, 10_000]), "or their steps do not increase"),
    (with_curves(values={"loss": [1.0]}), "curves of different lengths"),
    (
        lambda r: with_fields("evaluation", correct=None)(with_metric("top1_accuracy", 0.6)(r)),
        "the mean over its classes is 0.5",
    ),
    (with_metric("top1_accuracy", 1.2), "top1_accuracy 1.2, which is out of range"),
    (with_metric("top5_accuracy", 0.4), "top-5 accuracy below top-1"),
    (with_fields("evaluation", intervals={"nll": (1.6, 1.7)}), "nll 1.5, outside of its interval"),
    (with_fields("evaluation", correct=pack_bits(~CORRECT & (np.arange(10_000) < 10))), "5 of 10,000 images"),
    (
        with_fields("evaluation", correct=pack_bits(CORRECT[:5_000])),
        "`correct` has 5,000 bits, for 10,000 images",
    ),
    (with_fields("evaluation", correct="*"), "not base64"),
    (with_fields("data", images={}), "the number of evaluation images is not"),
    (with_metric("balanced_accuracy", 0.6), "balanced_accuracy 0.6, from the accuracies of its classes 0.5"),
    (with_metric("worst_class_accuracy", 0.2), "worst_class_accuracy 0.2, from the accuracies of its classes 0"),
    (with_metric("macro_f1", 0.9), "macro_f1 0.9, with the accuracies of its classes at most 0.6"),
    (with_metric("macro_f1", -0.1), "macro_f1 -0.1, which is out of range"),
    (
        lambda r: with_fields("evaluation", per_class_accuracy=[])(with_metric("balanced_accuracy", 0.5)(r)),
        "balanced_accuracy 0.5 without the accuracies of the classes",
    ),
]


@pytest.mark.parametrize(("forge", "message"), FORGED, ids=[message for _, message in FORGED])
def test_contradictory_record_is_refused(tmp_path: Path, forge: Callable[[Record], Record], message: str) -> None:
    record = with_fields("evaluation", correct=pack_bits(CORRECT))(make_record("net", 0, 0.5))
    path = record_path(tmp_path, record.identity, record.protocol)
    write_record(path, record)
    assert read_record(path).evaluation == record.evaluation
    path.write_bytes(checksummed_bytes(forge(record)))
    with pytest.raises(ResultsError, match="contradicts itself") as raised:
        read_record(path)
    assert message in str(raised.value)


def test_unusual_but_valid_records_are_accepted() -> None:
    record = make_record("net", 0, 0.5)
    # A subset may have different numbers of images per class.
    subset = record.protocol.model_copy(update={"evaluation_images": 1_000})
    uneven = record.model_copy(
        update={"protocol": subset, "identity": record.identity.model_copy(update={"protocol_hash": subset.hash})}
    )
    assert list(contradictions(with_fields("evaluation", per_class_accuracy=[0.4, 0.7])(uneven))) == []
    # MACs per operator are rounded separately if images needed different numbers of evaluations.
    operators = {"conv": 1_000_001, "linear": 1_000_007, "attention": 999_995}
    assert (
        list(contradictions(with_fields("cost", macs_by_operator=operators, macs_per_image=3_000_001)(record)))
        == []
    )
    # A clock may have been set back.
    assert list(contradictions(with_fields("timing", started_at="2026-01-01T00:00:02+00:00")(record))) == []


@pytest.mark.parametrize("original", ['"nll": 1.5', '"batch_size": 128'])
def test_infinite_or_huge_numbers_are_refused(tmp_path: Path, original: str) -> None:
    record = make_record("net", 0, 0.5)
    path = record_path(tmp_path, record.identity, record.protocol)
    write_record(path, record)
    text = path.read_text()
    assert original in text
    invalid = "Infinity" if "nll" in original else "1" + "0" * 400
    path.write_text(text.replace(original, f"{original.split(':', maxsplit=1)[0]}: {invalid}", 1))
    with pytest.raises(ResultsError):
        read_record(path)


def test_unbalanced_data_set_may_have_another_mean_accuracy() -> None:
    record = with_metric("top1_accuracy", 0.6)(with_fields("data", name="addnist")(make_record("net", 0, 0.5)))
    assert list(contradictions(record)) == []
    best = with_metric("top1_accuracy", 0.999)(with_fields("evaluation", per_class_accuracy=[0.1, 0.9])(record))
    assert "outside of the range of the class accuracies" in next(contradictions(best))


@pytest.mark.parametrize("folder", ["results/runs", "results/tuning"])
def test_committed_records_are_consistent(folder: str) -> None:
    records = committed_records(folder)
    assert records and [line for record in records for line in contradictions(record)] == []
    assert [line for record in contest() for line in contradictions(record)] == []
