"""``bench verify-certificate``: the run is repeated and must be bit-identical or within the spread over seeds."""

from pathlib import Path

import pytest

from bench.contract.certificates import Certificate, SeedSpread, read_certificate, write_certificate
from bench.contract.records.record import Record
from bench.errors import ExitCode, UsageError
from bench.harness.commands.verify_certificate import check_same, judge
from bench.report.certificate import certify, make_certificate
from bench.report.records.aggregate import Row, summarize
from bench.stats.spreads import spread
from tests.making import bench, write_submission, write_track
from tests.report.making_records import make_record


def test_certificate_of_an_honest_run_holds_and_forgeries_fail(tmp_path: Path) -> None:
    net, track = write_submission(tmp_path / "submissions", "net"), write_track(tmp_path)
    shared = ["--track", track, "--device", "cpu"]
    assert bench("run", net, *shared, "--results", tmp_path / "results").returncode == 0
    path = certify(tmp_path / "results", "seed1", None)
    verify = ["verify-certificate", path, "--submissions", tmp_path / "submissions", *shared]
    result = bench(*verify)
    assert (
        result.returncode == 0
        and "the certificate holds: the trained weights and all metrics are bit-identical" in result.stdout
    ), result.stderr
    assert len(list((tmp_path / "results").rglob("seed*.json"))) == 2  # the repeated run is not kept

    # A consistent certificate with a false result: repeating the run reveals it.
    certificate = read_certificate(path)
    spread = {"top1_accuracy": SeedSpread(mean=0.99, std=0.001, n=3)}
    forged = {"metrics": {**certificate.metrics, "top1_accuracy": 0.99}, "spread": spread}
    write_certificate(path, certificate.model_copy(update=forged))
    result = bench(*verify, "--results", tmp_path / "kept", "--seeds", 2)
    assert result.returncode == 1 and "these weights do not have that score" in result.stdout
    assert len(list((tmp_path / "kept" / "runs").rglob("seed*.json"))) == 2

    # A record is not compared with itself.
    write_certificate(path, certificate)
    result = bench(*verify, "--results", tmp_path / "results")
    assert result.returncode == 2 and "contains the certified record" in result.stderr

    # Code that differs from the certified code is not run.
    model = net / "model.py"
    model.write_text(model.read_text() + "\nX = 1\n")
    result = bench(*verify)
    assert result.returncode == 2 and "differs from the certified code: model.py" in result.stderr
    assert "Traceback" not in result.stderr


def certified(*accuracies: float) -> tuple[Certificate, Record]:
    """Return the certificate of the first of several seeds, and its record."""
    records = [make_record("net", seed, value) for seed, value in enumerate(accuracies)]
    return make_certificate(records[0], summarize(records)[0]), records[0]


def repeated(record: Record, accuracy: float, **cost: int) -> Record:
    """Return the record of a repetition with other weights and another accuracy."""
    assert record.training is not None and record.evaluation is not None and record.cost is not None
    return record.model_copy(
        update={
            "training": record.training.model_copy(update={"weights_sha256": "other"}),
            "evaluation": record.evaluation.model_copy(
                update={"metrics": {"top1_accuracy": accuracy, "nll": 1.5}}
            ),
            "cost": record.cost.model_copy(update=cost),
        }
    )


@pytest.mark.parametrize(
    ("claimed", "code", "message"),
    [
        # own mean 0.46, std 0.01, n 3: 4.303 · 0.01 · √(4/3) = 0.0497 to either side
        (0.509, ExitCode.OK, "the certificate holds within the spread over seeds; only this score was compared"),
        (0.511, ExitCode.REGRESSION, "the certificate does not hold: the certified score is outside"),
        (0.409, ExitCode.REGRESSION, "the certificate does not hold: the certified score is outside"),
    ],
)
def test_other_weights_are_judged_by_the_spread_over_seeds_run_here(
    claimed: float, code: ExitCode, message: str
) -> None:
    certificate, record = certified(claimed)
    outcome, lines = judge(certificate, repeated(record, 0.46), spread([0.45, 0.46, 0.47]))
    assert outcome == code and lines[-1] == message
    assert any("within [0.41" in line and "0.509" in line and "3 seeds run here" in line for line in lines)


def test_spread_claimed_by_the_certificate_is_not_used() -> None:
    """A forged, wide spread in the certificate does not accept a result 65 percentage points away."""
    certificate, record = certified(0.95, 0.94, 0.96)
    wide = {"top1_accuracy": SeedSpread(mean=0.6, std=0.25, n=3)}
    forged = certificate.model_copy(update={"spread": wide})
    code, lines = judge(forged, repeated(record, 0.30), spread([0.30]))
    assert code == ExitCode.NOTHING and lines[-1].startswith("undecided") and "--seeds 3" in lines[-1]
    assert judge(forged, repeated(record, 0.30), spread([0.30, 0.31, 0.29]))[0] == ExitCode.REGRESSION


def test_one_seed_confirms_only_bit_identical_results() -> None:
    certificate, record = certified(0.45)
    assert judge(certificate, record, None)[0] == ExitCode.OK  # itself
    code, lines = judge(certificate, repeated(record, 0.45), spread([0.45]))
    assert code == ExitCode.NOTHING and lines[-1].startswith("undecided")


@pytest.mark.parametrize(
    ("accuracy", "code"), [(0.4503, ExitCode.OK), (0.46, ExitCode.REGRESSION), (0.99, ExitCode.REGRESSION)]
)
def test_same_weights_must_have_the_same_score_up_to_rounding(accuracy: float, code: ExitCode) -> None:
    """Another machine may round differently; the spread over seeds excuses no larger difference."""
    certificate, record = certified(0.45)
    assert record.evaluation is not None
    metrics = {**record.evaluation.metrics, "top1_accuracy": accuracy}
    other = record.model_copy(update={"evaluation": record.evaluation.model_copy(update={"metrics": metrics})})
    outcome, lines = judge(certificate, other, spread([0.3, 0.5, 0.7]))
    assert outcome == code and "but not all metrics are" in lines[0]


def test_metrics_as_published_are_compared_too() -> None:
    certificate, record = certified(0.45)
    forged = certificate.model_copy(update={"as_published": {"top1_accuracy": 0.6}})
    code, lines = judge(forged, record, None)
    assert code == ExitCode.REGRESSION
    assert "as_published.top1_accuracy: certified 0.6, found 0.5" in lines


def test_run_in_several_segments_need_not_be_bit_identical() -> None:
    certificate, record = certified(0.45, 0.46, 0.47)
    environment = {**certificate.environment, "earlier_segments": [{"from_step": 0, "to_step": 9, "threads": 4}]}
    in_segments = certificate.model_copy(update={"environment": environment})
    assert "in segments" in judge(in_segments, repeated(record, 0.46), None)[1][0]
    assert "in segments" not in judge(certificate, repeated(record, 0.46), None)[1][0]


def test_other_parameter_count_never_holds() -> None:
    certificate, record = certified(0.45, 0.46, 0.47)
    code, lines = judge(certificate, repeated(record, 0.45, params=84_195), spread([0.45, 0.46, 0.47]))
    assert code == ExitCode.REGRESSION and lines[0] == "params: certified 84,194, found 84,195"


@pytest.mark.parametrize("same_weights", [True, False])
def test_missing_score_leaves_the_certificate_undecided(same_weights: bool) -> None:
    certificate, record = certified(0.45, 0.46, 0.47)
    other = record if same_weights else repeated(record, 0.45)
    assert other.evaluation is not None
    empty = other.model_copy(update={"evaluation": other.evaluation.model_copy(update={"metrics": {}})})
    code, lines = judge(certificate, empty, spread([0.45, 0.46, 0.47]))
    assert code == ExitCode.NOTHING and "not measured" in lines[-1]


def test_other_data_fingerprints_are_not_the_certified_run() -> None:
    record = Row((make_record("net"),)).representative
    other = record.identity.model_copy(update={"data_fingerprints": {"test": "x"}, "device_type": "cuda"})
    with pytest.raises(UsageError, match="not the certified run: data_fingerprints differ"):
        check_same(record.identity, other)
    check_same(record.identity, record.identity.model_copy(update={"device_type": "cuda"}))
