"""Records: writing and reading, checksums, former field names, and eligibility for the ranking."""

import json
from pathlib import Path

import pytest

from bench.contract.documents.checksum import checksum_of, with_checksum
from bench.contract.records.caps import over_caps
from bench.contract.records.eligibility import reasons_against_ranking
from bench.contract.records.files import read_record, record_path, record_paths, write_record
from bench.contract.records.record import Evaluation, Record
from bench.contract.tracks import Caps
from bench.errors import ResultsError, RunFailed
from bench.files import REPOSITORY
from tests.report.making_records import make_record


@pytest.fixture
def record() -> Record:
    return make_record(accuracy=0.5)


def test_written_record_is_read_unchanged(tmp_path: Path, record: Record) -> None:
    path = record_path(tmp_path, record.identity, record.protocol)
    write_record(path, record)
    assert read_record(path) == with_checksum(record)
    assert list(record_paths(tmp_path)) == [path]
    assert path.relative_to(tmp_path).as_posix().startswith("runs/cifar100-classification/net/base/seed0-")


def test_older_records_are_read_by_their_former_field_names(tmp_path: Path) -> None:
    record = make_record(accuracy=0.5, background_load=0.4)
    record = record.model_copy(update={"environment": {**record.environment, "sandbox": {"network": "none"}}})
    content = record.model_dump(mode="json")
    rate = content["timing"]["inference_images_per_s"]
    rate["neighbours"], rate["beside"] = rate.pop("background_load"), 2
    del rate["concurrent_runs"]
    content["environment"]["walls"] = content["environment"].pop("sandbox")
    content["schema_version"] = 2
    content["checksum"] = checksum_of(content)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    loaded = read_record(path)
    assert loaded.environment == record.environment and loaded.checksum == content["checksum"]
    speed = loaded.timing.inference_images_per_s
    assert speed is not None and (speed.background_load, speed.concurrent_runs, speed.noisy) == (0.4, 2, True)
    rate["background_load"] = 0.1  # under both names, which no version wrote
    content["checksum"] = checksum_of(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="unknown field `timing.inference_images_per_s.neighbours`"):
        read_record(path)


def test_altered_record_is_refused(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "r.json"
    write_record(path, record)
    text = path.read_text()
    assert '"top1_accuracy": 0.5' in text
    path.write_text(text.replace('"top1_accuracy": 0.5', '"top1_accuracy": 0.6', 1))
    with pytest.raises(ResultsError, match="was altered after it was written"):
        read_record(path)


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_truncated_record_is_refused(tmp_path: Path, record: Record, cut: int) -> None:
    path = tmp_path / "r.json"
    write_record(path, record)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ResultsError, match=r"r.json: not a JSON record"):
        read_record(path)


def test_other_schema_versions_and_unknown_fields_are_refused(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "r.json"
    content = with_checksum(record).model_dump(mode="json")
    path.write_text(json.dumps({**content, "schema_version": 0}))
    with pytest.raises(ResultsError, match="schema_version 0, this version reads 3"):
        read_record(path)
    path.write_text(json.dumps({**content, "luck": 3}))
    with pytest.raises(ResultsError, match="unknown field `luck`"):
        read_record(path)
    path.write_text("[]")
    with pytest.raises(ResultsError, match="schema_version None"):
        read_record(path)


def test_record_with_nan_is_not_written(tmp_path: Path, record: Record) -> None:
    broken = record.model_copy(update={"evaluation": Evaluation(metrics={"nll": float("nan")})})
    with pytest.raises(RunFailed, match="an invalid number or text"):
        write_record(tmp_path / "r.json", broken)
    assert not list(tmp_path.iterdir())


def test_reasons_against_ranking_are_listed(record: Record) -> None:
    assert record.data is not None and record.evaluation is not None and record.cost is not None
    assert record.training is not None
    eligible = (record.protocol, record.data, record.cost, record.training, record.evaluation)
    assert reasons_against_ranking(*eligible) == []
    smoke = record.protocol.model_copy(update={"profile": "smoke"})
    synthetic = record.data.model_copy(update={"name": "shapes100", "stand_in_for": "cifar100"})
    batch_dependent = record.evaluation.model_copy(update={"batch_independent": False})
    large = record.cost.model_copy(
        update={
            "params": 104_804,
            "params_by_module": {"model.a": 4, "model.b": 104_800},
            "inference_buffers": 200_000,
        }
    )
    long = record.training.model_copy(update={"steps": 20_000, "updates": {"optimizer": 10_000, "other": 10_001}})
    assert reasons_against_ranking(smoke, synthetic, large, long, batch_dependent) == [
        "104,804 params, cap 100,000; the largest parts: model.b 104,800, model.a 4",
        "284,194 stored scalars (84,194 in parameters, 200,000 in buffers, 0 in plain attributes), cap 200,000",
        "20,000 steps, budget 10,000",
        "optimizer other took 10,001 steps, budget 10,000",
        "profile smoke",
        "data shapes100 instead of cifar100",
        "predictions depend on the rest of the batch",
    ]
    assert over_caps(record.protocol.model_copy(update={"caps": Caps()}), large, 10_000, 128) == []


def test_samples_that_copy_training_images_are_not_ranked(record: Record) -> None:
    assert record.data is not None and record.cost is not None and record.training is not None
    for fraction, ranks in ((0.5, True), (0.89, True), (0.97, False)):
        evaluation = Evaluation(metrics={"nearer_than_held_out": fraction})
        reasons = reasons_against_ranking(record.protocol, record.data, record.cost, record.training, evaluation)
        assert (reasons == []) == ranks
    assert reasons == ["97% of the samples are nearer to a training image than held-out images are"]
    # 30 % copies, the other samples far from every training image: `nearer_than_held_out` alone misses them.
    partial = Evaluation(metrics={"nearer_than_held_out": 0.31, "nearer_than_closest_1_percent": 0.3})
    assert reasons_against_ranking(record.protocol, record.data, record.cost, record.training, partial) == [
        "30% of the samples are as near to a training image as 1% of held-out images are"
    ]


def test_committed_records_match_their_file_names() -> None:
    paths = list(record_paths(REPOSITORY / "results"))
    assert paths
    for path in paths:
        identity = read_record(path).identity
        assert path.name == f"seed{identity.seed}-{identity.hash}.json"


def test_without_times_removes_times_and_attempts(record: Record) -> None:
    later = with_checksum(record.model_copy(update={"timing": record.timing.model_copy(update={"attempt": 2})}))
    assert later.checksum != with_checksum(record).checksum
    assert later.without_times() == record.without_times()
