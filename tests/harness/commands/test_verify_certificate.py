"""A certificate put to the test: the run repeated to the last bit, and what is said where it is not."""

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


def test_a_run_repeats_to_the_last_bit(tmp_path: Path) -> None:
    net, track = write_submission(tmp_path / "submissions", "net"), write_track(tmp_path)
    shared = ["--track", track, "--device", "cpu"]
    assert bench("run", net, *shared, "--results", tmp_path / "results").returncode == 0
    path = certify(tmp_path / "results", "seed1", None)
    verify = ["verify-certificate", path, "--submissions", tmp_path / "submissions", *shared]
    done = bench(*verify)
    assert (
        done.returncode == 0
        and "the certificate holds: the trained weights and all metrics are bit-identical" in done.stdout
    ), done.stderr
    assert len(list((tmp_path / "results").rglob("seed*.json"))) == 2  # the repeated run is kept nowhere

    # A certificate that claims another result, made consistently: repeating the run shows it.
    certificate = read_certificate(path)
    spread = {"top1_accuracy": SeedSpread(mean=0.99, std=0.001, n=3)}
    false = {"metrics": {**certificate.metrics, "top1_accuracy": 0.99}, "spread": spread}
    write_certificate(path, certificate.model_copy(update=false))
    done = bench(*verify, "--results", tmp_path / "kept", "--seeds", 2)
    assert done.returncode == 1 and "these weights do not have that score" in done.stdout
    assert len(list((tmp_path / "kept" / "runs").rglob("seed*.json"))) == 2

    # Nor is a record compared with itself.
    write_certificate(path, certificate)
    done = bench(*verify, "--results", tmp_path / "results")
    assert done.returncode == 2 and "contains the certified record" in done.stderr

    # Other code than what was certified is not even run.
    model = net / "model.py"
    model.write_text(model.read_text() + "\nX = 1\n")
    done = bench(*verify)
    assert done.returncode == 2 and "differs from the certified code: model.py" in done.stderr
    assert "Traceback" not in done.stderr


def certified(*accuracies: float) -> tuple[Certificate, Record]:
    """The certificate of the first of some seeds, and its record."""
    records = [make_record("net", seed, value) for seed, value in enumerate(accuracies)]
    return make_certificate(records[0], summarize(records)[0]), records[0]


def repeated(record: Record, accuracy: float, **cost: int) -> Record:
    """The same run elsewhere: other weights, another accuracy."""
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
    ("claimed", "code", "words"),
    [
        # own mean 0.46, std 0.01, n 3: 4.303 · 0.01 · √(4/3) = 0.0497 to either side
        (0.509, ExitCode.OK, "the certificate holds within the spread over seeds; only this score was compared"),
        (0.511, ExitCode.REGRESSION, "the certificate does not hold: the certified score is outside"),
        (0.409, ExitCode.REGRESSION, "the certificate does not hold: the certified score is outside"),
    ],
)
def test_other_weights_are_judged_by_the_spread_of_ones_own_seeds(
    claimed: float, code: ExitCode, words: str
) -> None:
    certificate, record = certified(claimed)
    found, lines = judge(certificate, repeated(record, 0.46), spread([0.45, 0.46, 0.47]))
    assert found == code and lines[-1] == words
    assert any("within [0.41" in line and "0.509" in line and "3 seeds run here" in line for line in lines)


def test_a_certificate_does_not_choose_what_it_is_judged_by() -> None:
    """Its own spread, made wide enough for anything, is no argument for a run 65 points away."""
    certificate, record = certified(0.95, 0.94, 0.96)
    wide = {"top1_accuracy": SeedSpread(mean=0.6, std=0.25, n=3)}
    forged = certificate.model_copy(update={"spread": wide})
    code, lines = judge(forged, repeated(record, 0.30), spread([0.30]))
    assert code == ExitCode.NOTHING and lines[-1].startswith("undecided") and "--seeds 3" in lines[-1]
    assert judge(forged, repeated(record, 0.30), spread([0.30, 0.31, 0.29]))[0] == ExitCode.REGRESSION


def test_from_one_seed_only_the_same_bits_hold() -> None:
    certificate, record = certified(0.45)
    assert judge(certificate, record, None)[0] == ExitCode.OK  # itself
    code, lines = judge(certificate, repeated(record, 0.45), spread([0.45]))
    assert code == ExitCode.NOTHING and lines[-1].startswith("undecided")


@pytest.mark.parametrize(
    ("accuracy", "code"), [(0.4503, ExitCode.OK), (0.46, ExitCode.REGRESSION), (0.99, ExitCode.REGRESSION)]
)
def test_the_same_weights_have_the_same_score(accuracy: float, code: ExitCode) -> None:
    """Up to what another machine rounds otherwise; no spread over seeds excuses more."""
    certificate, record = certified(0.45)
    assert record.evaluation is not None
    metrics = {**record.evaluation.metrics, "top1_accuracy": accuracy}
    other = record.model_copy(update={"evaluation": record.evaluation.model_copy(update={"metrics": metrics})})
    found, lines = judge(certificate, other, spread([0.3, 0.5, 0.7]))
    assert found == code and "but not all metrics are" in lines[0]


def test_a_figure_as_published_is_judged_too() -> None:
    certificate, record = certified(0.45)
    flattered = certificate.model_copy(update={"as_published": {"top1_accuracy": 0.6}})
    code, lines = judge(flattered, record, None)
    assert code == ExitCode.REGRESSION
    assert "as_published.top1_accuracy: certified 0.6, found 0.5" in lines


def test_a_run_in_unlike_parts_is_not_expected_to_repeat_to_the_bit() -> None:
    certificate, record = certified(0.45, 0.46, 0.47)
    environment = {**certificate.environment, "earlier_segments": [{"from_step": 0, "to_step": 9, "threads": 4}]}
    in_parts = certificate.model_copy(update={"environment": environment})
    assert "in segments" in judge(in_parts, repeated(record, 0.46), None)[1][0]
    assert "in segments" not in judge(certificate, repeated(record, 0.46), None)[1][0]


def test_another_network_never_holds() -> None:
    certificate, record = certified(0.45, 0.46, 0.47)
    code, lines = judge(certificate, repeated(record, 0.45, params=84_195), spread([0.45, 0.46, 0.47]))
    assert code == ExitCode.REGRESSION and lines[0] == "params: certified 84,194, found 84,195"


@pytest.mark.parametrize("same_weights", [True, False])
def test_a_score_that_was_not_measured_again(same_weights: bool) -> None:
    certificate, record = certified(0.45, 0.46, 0.47)
    other = record if same_weights else repeated(record, 0.45)
    assert other.evaluation is not None
    empty = other.model_copy(update={"evaluation": other.evaluation.model_copy(update={"metrics": {}})})
    code, lines = judge(certificate, empty, spread([0.45, 0.46, 0.47]))
    assert code == ExitCode.NOTHING and "not measured" in lines[-1]


def test_other_data_make_another_run() -> None:
    record = Row((make_record("net"),)).representative
    other = record.identity.model_copy(update={"data_fingerprints": {"test": "x"}, "device_type": "cuda"})
    with pytest.raises(UsageError, match="not the certified run: data_fingerprints differ"):
        check_same(record.identity, other)
    check_same(record.identity, record.identity.model_copy(update={"device_type": "cuda"}))
