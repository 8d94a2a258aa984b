"""A certificate has the values of its record, and a run that cannot be repeated gets none."""

import json
from pathlib import Path

import pytest

from bench.contract.certificates import read_certificate
from bench.contract.records.files import record_path
from bench.errors import ResultsError, UsageError
from bench.report.certificate import certify
from tests.report.making_contest import contest, real_images, write_contest
from tests.report.making_records import make_record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_contest(tmp_path, contest())
    return tmp_path


def test_certificate_has_command_metrics_and_spread(results: Path) -> None:
    path = certify(results, official_path(results), None)
    certificate = read_certificate(path)
    assert path.parent == results / "certificates"
    assert certificate.command == "bench run submissions/se_net --profile official --seed 1"
    assert certificate.metrics["top1_accuracy"] == 0.47 and certificate.params == 84_194
    spread = certificate.spread["top1_accuracy"]
    assert (spread.mean, spread.std, spread.n) == (pytest.approx(0.46), pytest.approx(0.01), 5)
    assert certificate.identity.seed == 1 and certificate.weights == "w"


def official_path(results: Path) -> str:
    record = make_record("se_net", 1, 0.47)
    return str(record_path(results, record.identity, record.protocol))


def test_altered_certificate_is_refused(results: Path) -> None:
    path = certify(results, official_path(results), results / "mine.json")
    content = json.loads(path.read_text())
    content["metrics"]["top1_accuracy"] = 0.9
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="altered after it was written"):
        read_certificate(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a certificate"),
        ('{"kind": "capbench reproduction certificate", "schema_version": 9}', "schema_version 9"),
        ('{"kind": "capbench reproduction certificate", "schema_version": 1}', "field `record` is missing"),
    ],
)
def test_invalid_certificate_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ResultsError, match=message):
        read_certificate(tmp_path / "c.json")
    with pytest.raises(ResultsError, match="cannot be read"):
        read_certificate(tmp_path / "absent.json")


def test_failed_or_ambiguous_record_is_not_certified(results: Path) -> None:
    with pytest.raises(UsageError, match=r"moody/base seed 1: failed \(error\)"):
        certify(results, "moody/base/seed1", None)
    real = real_images(5.25).model_copy(update={"training": None})
    write_contest(results, [real])
    with pytest.raises(UsageError, match="repeat it with `bench score-real`"):
        certify(results, "real-images", None)
    with pytest.raises(UsageError, match="matches 5 records"):
        certify(results, "narrow", None)
    with pytest.raises(ResultsError, match="cannot be written"):
        certify(results, official_path(results), results / "runs")
