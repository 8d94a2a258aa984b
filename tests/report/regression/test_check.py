"""The gate: planted regressions are caught, a rerun passes, and what cannot be judged is never a pass."""

import subprocess
from pathlib import Path

import pytest

from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.records.aggregate import summarize
from bench.report.regression.check import check_command, findings
from bench.report.regression.findings import DEFAULT_LIMITS, Finding, parse_limits
from tests.making import bench
from tests.report.making_contest import generator, real_images
from tests.report.making_records import make_record

BEFORE = [0.500, 0.503, 0.497]


def runs(
    accuracies: list[float | None],
    *,
    params: int = 84_194,
    source: str = "s",
    background_load: float | None = None,
) -> list[Record]:
    return [
        make_record("net", seed, value, params=params, source=source, background_load=background_load)
        for seed, value in enumerate(accuracies)
    ]


def with_speed(records: list[Record], factor: float, iqr: float = 10.0, device: str = "A CPU") -> list[Record]:
    changed = []
    for record in records:
        rate = record.timing.inference_images_per_s
        assert rate is not None
        rate = rate.model_copy(update={"median_per_s": rate.median_per_s * factor, "iqr_per_s": iqr})
        timing = record.timing.model_copy(update={"inference_images_per_s": rate})
        environment = {**record.environment, "device": device}
        changed.append(record.model_copy(update={"timing": timing, "environment": environment}))
    return changed


def judge(
    now: list[Record], before: list[Record] | None = None, limits: str = DEFAULT_LIMITS
) -> dict[str, Finding]:
    old = summarize(runs(BEFORE) if before is None else before)
    return {item.metric: item for item in findings(old, summarize(now), parse_limits(limits))}


def put(folder: Path, records: list[Record]) -> Path:
    for record in records:
        write_record(record_path(folder, record.identity, record.protocol), record)
    return folder


def test_a_rerun_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, now = put(tmp_path / "a", runs(BEFORE)), put(tmp_path / "b", runs([0.501, 0.501, 0.499], source="new"))
    assert {item.outcome for item in judge(runs([0.501, 0.501, 0.499], source="new")).values()} == {"pass"}
    assert check_command(now, str(before), DEFAULT_LIMITS) == ExitCode.OK
    assert "4 pass, 0 FAIL, 0 open" in capsys.readouterr().out


def test_two_points_of_accuracy() -> None:
    found = judge(runs([0.480, 0.483, 0.478]))["accuracy"]
    assert found.outcome == "FAIL" and found.change.startswith("-1.97 [")
    assert judge(runs([0.480, 0.483, 0.478]), limits="accuracy:-3pp")["accuracy"].outcome == "pass"
    assert judge(runs([0.520, 0.523, 0.517]))["accuracy"].outcome == "pass"  # better is not worse


def test_what_is_not_shown_to_be_within_the_limit_does_not_pass() -> None:
    """Half a point less where one is allowed, in seeds that move by a point: a true drop of 1.5 would look so."""
    found = judge(runs([0.505, 0.488, 0.492]))["accuracy"]
    assert found.outcome == "open" and "are too few to decide" in found.reason
    assert judge(runs([0.505, 0.488, 0.492]), limits="accuracy:-5pp")["accuracy"].outcome == "pass"


def test_a_drop_that_may_be_chance_is_open(tmp_path: Path) -> None:
    now = [0.40, 0.56, 0.50]
    found = judge(runs(now))["accuracy"]
    assert found.outcome == "open" and "3 seeds" in found.reason
    assert check_command(
        put(tmp_path / "b", runs(now)), str(put(tmp_path / "a", runs(BEFORE))), DEFAULT_LIMITS
    ) == (ExitCode.NOTHING)


def test_one_seed_is_judged_only_where_it_is_the_same_network() -> None:
    for now in (0.470, 0.530):
        found = judge(with_weights(runs([now]), "other"), before=runs([0.500]))["accuracy"]
        assert (found.outcome, found.reason) == ("open", "one seed has no standard deviation")
    same = judge(runs([0.500]), before=runs([0.500]))["accuracy"]
    assert (same.outcome, same.reason) == ("pass", "identical weights")
    assert judge(runs([0.470]), before=runs([0.500]))["accuracy"].outcome == "open"  # scored otherwise


def with_weights(records: list[Record], sha256: str) -> list[Record]:
    return [
        record.model_copy(update={"training": record.training.model_copy(update={"weights_sha256": sha256})})
        for record in records
        if record.training is not None
    ]


def test_one_parameter_more(tmp_path: Path) -> None:
    assert judge(runs(BEFORE, params=84_195))["params"].outcome == "FAIL"
    assert judge(runs(BEFORE, params=84_193))["params"].outcome == "pass"
    assert judge(runs(BEFORE, params=84_195), limits="params:1")["params"].outcome == "pass"
    command = (put(tmp_path / "b", runs(BEFORE, params=84_195)), str(put(tmp_path / "a", runs(BEFORE))))
    assert check_command(*command, DEFAULT_LIMITS) == ExitCode.REGRESSION


def test_a_fifth_slower() -> None:
    assert judge(with_speed(runs(BEFORE), 0.8))["throughput"].outcome == "FAIL"
    assert judge(with_speed(runs(BEFORE), 0.95))["throughput"].outcome == "pass"
    for factor in (0.8, 0.95):  # in so much noise a fifth less may be nothing, and a twentieth less a quarter
        noisy = judge(with_speed(runs(BEFORE), factor, iqr=2000.0))["throughput"]
        assert noisy.outcome == "open" and "too noisy" in noisy.reason
    elsewhere = judge(with_speed(runs(BEFORE), 0.5, device="Another"))["throughput"]
    assert elsewhere.outcome == "not compared"


@pytest.mark.parametrize(
    ("factor", "then", "now", "outcome"),
    [
        (0.8, None, 0.09, "FAIL"),  # a tenth of the machine is borne
        (0.8, None, 0.5, "open"),  # slower, and perhaps for that reason
        (0.8, 0.5, None, "FAIL"),  # slower than when it was disturbed
        (0.8, 0.5, 0.5, "open"),
        (1.0, None, 0.5, "pass"),  # as fast though it is disturbed
        (1.0, 0.5, None, "open"),  # as fast as when it was disturbed
        (1.0, 0.5, 0.5, "pass"),
    ],
)
def test_a_speed_measured_beside_other_programs(
    factor: float, then: float | None, now: float | None, outcome: str
) -> None:
    before, after = runs(BEFORE, background_load=then), with_speed(runs(BEFORE, background_load=now), factor)
    found = judge(after, with_speed(before, 1.0))["throughput"]
    assert found.outcome == outcome
    assert ("background load" in found.reason and "--measure" in found.reason) == (outcome == "open")


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ([], "no record now"),
        ([None, None, None], "every run failed"),
        ([0.5, 0.5, None], "1 of 3 runs failed"),
    ],
)
def test_what_is_missing_or_failed_never_passes(tmp_path: Path, now: list[float | None], reason: str) -> None:
    (tmp_path / "b").mkdir()
    found = judge(runs(now))
    assert any(item.outcome == "open" and reason in item.reason for item in found.values())
    assert check_command(
        put(tmp_path / "b", runs(now)), str(put(tmp_path / "a", runs(BEFORE))), DEFAULT_LIMITS
    ) == (ExitCode.NOTHING)


def test_a_seed_that_is_gone_does_not_pass() -> None:
    """A bad one would only have to be left out."""
    found = judge(runs([0.500, 0.503]))["accuracy"]
    assert (found.outcome, found.reason) == ("open", "no run of seed 2 now")
    assert judge(runs([0.40, 0.403]))["accuracy"].outcome == "FAIL"


def test_just_what_is_allowed_passes() -> None:
    found = judge(runs([0.500, 0.510, 0.5933]), runs([0.510, 0.520, 0.6033]), limits="accuracy:-1pp")
    assert found["accuracy"].outcome == "pass"


@pytest.mark.parametrize("text", ["accuracy:-1", "throughput:-10", "throughput:-10pp"])
def test_a_limit_without_its_unit_would_be_another_limit(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on"):
        parse_limits(text)


def test_other_data_are_not_compared() -> None:
    elsewhere = [
        record.model_copy(
            update={"identity": record.identity.model_copy(update={"data_fingerprints": {"test": "another"}})}
        )
        for record in runs(BEFORE)
    ]
    found = judge(elsewhere)["all"]
    assert (found.outcome, found.reason) == ("open", "run on other data now")


def test_fid_is_better_when_lower() -> None:
    before = [generator("gan", seed, 60.0 + seed / 10) for seed in range(3)] + [real_images(5.0)]
    worse = [generator("gan", seed, 66.0 + seed / 10) for seed in range(3)]
    assert judge(worse, before)["fid"].outcome == "FAIL"
    assert judge(worse, before, limits="fid:+20%")["fid"].outcome == "pass"
    assert judge(before, worse)["fid"].outcome == "pass"


@pytest.mark.parametrize("text", ["", "accuracy", "speed:-1pp", "accuracy:-1parsec", "accuracy:1.2.3pp"])
def test_bad_limits_are_named(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on"):
        parse_limits(text)


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_against_a_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk")
    results = put(tmp_path / "deep" / "results", runs(BEFORE))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "records")
    assert check_command(results, "trunk", DEFAULT_LIMITS) == ExitCode.OK
    for path in results.rglob("*.json"):
        path.unlink()
    put(results, runs([0.450, 0.453, 0.447], params=90_000))
    done = bench("check", "--baseline", "HEAD", "--results", results)
    assert done.returncode == 1 and "90,000" in done.stdout and "2 FAIL" in done.stdout
    for reference in ("no-such-branch", str(tmp_path / "nowhere")):
        with pytest.raises(UsageError, match="neither a results folder nor a git revision"):
            check_command(results, reference, DEFAULT_LIMITS)


def test_an_empty_baseline_is_no_baseline(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(NothingToDo, match="nothing to compare with"):
        check_command(put(tmp_path / "b", runs(BEFORE)), str(tmp_path / "a"), DEFAULT_LIMITS)
