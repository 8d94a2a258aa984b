"""A record that was written by hand, and sealed, is refused where it contradicts itself."""

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

RIGHT = np.arange(10_000) % 2 == 0  # half of them


def with_fields(part: str, **fields: Any) -> Callable[[Record], Record]:
    return lambda record: record.model_copy(update={part: getattr(record, part).model_copy(update=fields)})


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
    (with_fields("evaluation", correct=pack_bits(~RIGHT & (np.arange(10_000) < 10))), "5 of 10,000 images"),
    (
        with_fields("evaluation", correct=pack_bits(RIGHT[:5_000])),
        "`correct` has 5,000 bits, for 10,000 images",
    ),
    (with_fields("evaluation", correct="*"), "not base64"),
    (with_fields("data", images={}), "the number of evaluation images is not"),
]


@pytest.mark.parametrize(("forge", "words"), FORGED, ids=[words for _, words in FORGED])
def test_what_cannot_be_true_is_refused(tmp_path: Path, forge: Callable[[Record], Record], words: str) -> None:
    record = with_fields("evaluation", correct=pack_bits(RIGHT))(make_record("net", 0, 0.5))
    path = record_path(tmp_path, record.identity, record.protocol)
    write_record(path, record)
    assert read_record(path).evaluation == record.evaluation
    path.write_bytes(checksummed_bytes(forge(record)))
    with pytest.raises(ResultsError, match="contradicts itself") as raised:
        read_record(path)
    assert words in str(raised.value)


def test_honest_records_that_look_odd_are_not_refused() -> None:
    record = make_record("net", 0, 0.5)
    # A part of a set has not as many images of each class.
    some = record.protocol.model_copy(update={"evaluation_images": 1_000})
    uneven = record.model_copy(
        update={"protocol": some, "identity": record.identity.model_copy(update={"protocol_hash": some.hash})}
    )
    assert list(contradictions(with_fields("evaluation", per_class_accuracy=[0.4, 0.7])(uneven))) == []
    # Operators' MACs are rounded each, where images took different numbers of evaluations.
    parts = {"conv": 1_000_001, "linear": 1_000_007, "attention": 999_995}
    assert (
        list(contradictions(with_fields("cost", macs_by_operator=parts, macs_per_image=3_000_001)(record))) == []
    )
    # A clock may be set back.
    assert list(contradictions(with_fields("timing", started_at="2026-01-01T00:00:02+00:00")(record))) == []


@pytest.mark.parametrize("odd", ['"nll": 1.5', '"batch_size": 128'])
def test_numbers_that_are_none_or_too_large_are_named(tmp_path: Path, odd: str) -> None:
    record = make_record("net", 0, 0.5)
    path = record_path(tmp_path, record.identity, record.protocol)
    write_record(path, record)
    text = path.read_text()
    assert odd in text
    path.write_text(
        text.replace(odd, odd.split(":", maxsplit=1)[0] + (": Infinity" if "nll" in odd else ": 1" + "0" * 400), 1)
    )
    with pytest.raises(ResultsError):
        read_record(path)


def test_other_sets_need_not_have_as_many_images_of_each_class() -> None:
    record = with_metric("top1_accuracy", 0.6)(with_fields("data", name="addnist")(make_record("net", 0, 0.5)))
    assert list(contradictions(record)) == []
    best = with_metric("top1_accuracy", 0.999)(with_fields("evaluation", per_class_accuracy=[0.1, 0.9])(record))
    assert "outside of the range of the class accuracies" in next(contradictions(best))


@pytest.mark.parametrize("folder", ["results/runs", "results/tuning"])
def test_what_runs_wrote_does_not_contradict_itself(folder: str) -> None:
    records = committed_records(folder)
    assert records and [line for record in records for line in contradictions(record)] == []
    assert [line for record in contest() for line in contradictions(record)] == []
