"""The regression gate: planted regressions fail, a rerun passes, and undecidable changes never pass."""

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


def test_rerun_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, now = put(tmp_path / "a", runs(BEFORE)), put(tmp_path / "b", runs([0.501, 0.501, 0.499], source="new"))
    assert {item.outcome for item in judge(runs([0.501, 0.501, 0.499], source="new")).values()} == {"pass"}
    assert check_command(now, str(before), DEFAULT_LIMITS) == ExitCode.OK
    assert "4 pass, 0 FAIL, 0 open" in capsys.readouterr().out


def test_accuracy_drop_of_two_points_fails() -> None:
    finding = judge(runs([0.480, 0.483, 0.478]))["accuracy"]
    assert finding.outcome == "FAIL" and finding.change.startswith("-1.97 [")
    assert judge(runs([0.480, 0.483, 0.478]), limits="accuracy:-3pp")["accuracy"].outcome == "pass"
    assert judge(runs([0.520, 0.523, 0.517]))["accuracy"].outcome == "pass"  # an improvement passes


def test_drop_not_shown_to_be_within_the_limit_is_open() -> None:
    """0.5 points lower with 1 allowed, while seeds vary by 1 point: the true drop may be 1.5 points."""
    finding = judge(runs([0.505, 0.488, 0.492]))["accuracy"]
    assert finding.outcome == "open" and "are too few to decide" in finding.reason
    assert judge(runs([0.505, 0.488, 0.492]), limits="accuracy:-5pp")["accuracy"].outcome == "pass"


def test_drop_that_may_be_chance_is_open(tmp_path: Path) -> None:
    now = [0.40, 0.56, 0.50]
    finding = judge(runs(now))["accuracy"]
    assert finding.outcome == "open" and "3 seeds" in finding.reason
    assert check_command(
        put(tmp_path / "b", runs(now)), str(put(tmp_path / "a", runs(BEFORE))), DEFAULT_LIMITS
    ) == (ExitCode.NOTHING)


def test_one_seed_passes_only_with_identical_weights() -> None:
    for now in (0.470, 0.530):
        finding = judge(with_weights(runs([now]), "other"), before=runs([0.500]))["accuracy"]
        assert (finding.outcome, finding.reason) == ("open", "one seed has no standard deviation")
    identical = judge(runs([0.500]), before=runs([0.500]))["accuracy"]
    assert (identical.outcome, identical.reason) == ("pass", "identical weights")
    # The same weights with another accuracy.
    assert judge(runs([0.470]), before=runs([0.500]))["accuracy"].outcome == "open"


def with_weights(records: list[Record], sha256: str) -> list[Record]:
    return [
        record.model_copy(update={"training": record.training.model_copy(update={"weights_sha256": sha256})})
        for record in records
        if record.training is not None
    ]


def test_one_more_parameter_fails(tmp_path: Path) -> None:
    assert judge(runs(BEFORE, params=84_195))["params"].outcome == "FAIL"
    assert judge(runs(BEFORE, params=84_193))["params"].outcome == "pass"
    assert judge(runs(BEFORE, params=84_195), limits="params:1")["params"].outcome == "pass"
    command = (put(tmp_path / "b", runs(BEFORE, params=84_195)), str(put(tmp_path / "a", runs(BEFORE))))
    assert check_command(*command, DEFAULT_LIMITS) == ExitCode.REGRESSION


def test_speed_drop_of_20_percent_fails_unless_noisy() -> None:
    assert judge(with_speed(runs(BEFORE), 0.8))["throughput"].outcome == "FAIL"
    assert judge(with_speed(runs(BEFORE), 0.95))["throughput"].outcome == "pass"
    for factor in (0.8, 0.95):  # with this noise, neither change can be judged
        noisy = judge(with_speed(runs(BEFORE), factor, iqr=2000.0))["throughput"]
        assert noisy.outcome == "open" and "too noisy" in noisy.reason
    other = judge(with_speed(runs(BEFORE), 0.5, device="Another"))["throughput"]
    assert other.outcome == "not compared"


@pytest.mark.parametrize(
    ("factor", "load_before", "load_now", "outcome"),
    [
        (0.8, None, 0.09, "FAIL"),  # 10 % of background load is tolerated
        (0.8, None, 0.5, "open"),  # slower, perhaps because of the load
        (0.8, 0.5, None, "FAIL"),  # slower than under load
        (0.8, 0.5, 0.5, "open"),
        (1.0, None, 0.5, "pass"),  # as fast even under load
        (1.0, 0.5, None, "open"),  # as fast as under load
        (1.0, 0.5, 0.5, "pass"),
    ],
)
def test_speed_under_background_load_is_judged_conservatively(
    factor: float, load_before: float | None, load_now: float | None, outcome: str
) -> None:
    before, after = (
        runs(BEFORE, background_load=load_before),
        with_speed(runs(BEFORE, background_load=load_now), factor),
    )
    finding = judge(after, with_speed(before, 1.0))["throughput"]
    assert finding.outcome == outcome
    assert ("background load" in finding.reason and "--measure" in finding.reason) == (outcome == "open")


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ([], "no record now"),
        ([None, None, None], "every run failed"),
        ([0.5, 0.5, None], "1 of 3 runs failed"),
    ],
)
def test_missing_or_failed_runs_are_open(tmp_path: Path, now: list[float | None], reason: str) -> None:
    (tmp_path / "b").mkdir()
    results = judge(runs(now))
    assert any(finding.outcome == "open" and reason in finding.reason for finding in results.values())
    assert check_command(
        put(tmp_path / "b", runs(now)), str(put(tmp_path / "a", runs(BEFORE))), DEFAULT_LIMITS
    ) == (ExitCode.NOTHING)


def test_missing_seed_is_open() -> None:
    """Otherwise a bad seed could be left out."""
    finding = judge(runs([0.500, 0.503]))["accuracy"]
    assert (finding.outcome, finding.reason) == ("open", "no run of seed 2 now")
    assert judge(runs([0.40, 0.403]))["accuracy"].outcome == "FAIL"


def test_change_equal_to_the_limit_passes() -> None:
    results = judge(runs([0.500, 0.510, 0.5933]), runs([0.510, 0.520, 0.6033]), limits="accuracy:-1pp")
    assert results["accuracy"].outcome == "pass"


@pytest.mark.parametrize("text", ["accuracy:-1", "throughput:-10", "throughput:-10pp"])
def test_limit_without_its_unit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on"):
        parse_limits(text)


def test_runs_on_other_data_are_open() -> None:
    other = [
        record.model_copy(
            update={"identity": record.identity.model_copy(update={"data_fingerprints": {"test": "another"}})}
        )
        for record in runs(BEFORE)
    ]
    finding = judge(other)["all"]
    assert (finding.outcome, finding.reason) == ("open", "run on other data now")


def test_fid_is_better_when_lower() -> None:
    before = [generator("gan", seed, 60.0 + seed / 10) for seed in range(3)] + [real_images(5.0)]
    worse = [generator("gan", seed, 66.0 + seed / 10) for seed in range(3)]
    assert judge(worse, before)["fid"].outcome == "FAIL"
    assert judge(worse, before, limits="fid:+20%")["fid"].outcome == "pass"
    assert judge(before, worse)["fid"].outcome == "pass"


def measured(values: list[float], **timing: float) -> list[Record]:
    """Return runs with these calibration errors, and with one value per seed of the fields of ``timing``."""
    records = []
    for record, ece in zip(runs(BEFORE), values, strict=True):
        assert record.evaluation is not None
        evaluation = record.evaluation.model_copy(update={"metrics": {**record.evaluation.metrics, "ece_15": ece}})
        scaled = {name: value * (1 + record.identity.seed / 1000) for name, value in timing.items()}
        times = record.timing.model_copy(update=scaled)
        records.append(record.model_copy(update={"evaluation": evaluation, "timing": times}))
    return records


def test_named_figures_are_checked_besides_the_ranking_metric() -> None:
    before = measured([0.050, 0.051, 0.049], peak_memory_bytes=2**30, training_seconds=100.0)
    worse = measured([0.080, 0.081, 0.080], peak_memory_bytes=2**31, training_seconds=101.0)
    results = judge(worse, before, limits="ece:1pp,memory:+10%,training_seconds:+20%")
    outcomes = {name: finding.outcome for name, finding in results.items()}
    assert outcomes == {"ece": "FAIL", "memory": "FAIL", "training_seconds": "pass"}
    assert (results["memory"].before, results["memory"].now) == ("1.00", "2.00 (n=3)")
    assert "ece" not in judge(worse, before)  # the default limits name the ranking metric only
    assert judge(before, before, limits="memory:+1%")["memory"].outcome == "pass"


def test_figure_that_was_not_recorded_is_open() -> None:
    finding = judge(runs(BEFORE), limits="training_joules:+5%")["training_joules"]
    assert (finding.outcome, finding.reason) == ("open", "no common seed")


def test_figures_of_another_task_are_left_out() -> None:
    gan = [generator("gan", seed, 60.0 + seed / 10) for seed in range(3)]
    assert set(judge(gan, gan, limits="ece:1pp,fid:+5%")) == {"fid"}


@pytest.mark.parametrize(
    "text", ["", "accuracy", "speed:-1pp", "top5_accuracy:1", "lpips:0.1", "accuracy:-1parsec", "accuracy:1.2.3pp"]
)
def test_invalid_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on"):
        parse_limits(text)


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_baseline_may_be_a_git_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk")
    results = put(tmp_path / "deep" / "results", runs(BEFORE))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "records")
    assert check_command(results, "trunk", DEFAULT_LIMITS) == ExitCode.OK
    for path in results.rglob("*.json"):
        path.unlink()
    put(results, runs([0.450, 0.453, 0.447], params=90_000))
    completed = bench("check", "--baseline", "HEAD", "--results", results)
    assert completed.returncode == 1 and "90,000" in completed.stdout and "2 FAIL" in completed.stdout
    for reference in ("no-such-branch", str(tmp_path / "nowhere")):
        with pytest.raises(UsageError, match="neither a results folder nor a git revision"):
            check_command(results, reference, DEFAULT_LIMITS)


def test_empty_baseline_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(NothingToDo, match="nothing to compare with"):
        check_command(put(tmp_path / "b", runs(BEFORE)), str(tmp_path / "a"), DEFAULT_LIMITS)
