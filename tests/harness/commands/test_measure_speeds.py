"""Interleaved speed comparison of two revisions. Clocks are simulated: no assertion depends on real times."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.contract.jobs.spec import JobSpec
from bench.errors import RunFailed, UsageError
from bench.files import REPOSITORY
from bench.harness.commands import measure_speeds as speeds
from bench.harness.commands.measure_speeds import compare, measure_speeds, submission_worker
from bench.job.speed import known_fields
from tests.job.making_jobs import make_spec


class SimulatedWorker:
    """A worker whose calls take ``seconds`` each, times the machine's load, times 2 % noise."""

    def __init__(self, seconds: float, seed: int, load: "VaryingLoad") -> None:
        self.cost, self.load = seconds, load
        self.generator = np.random.default_rng(seed)

    def seconds(self, kind: str, calls: int) -> float:
        return calls * self.cost * self.load.factor() * float(self.generator.lognormal(0, 0.02))


class VaryingLoad:
    """A machine that slowly varies between full speed and calls that take 1.5 times as long."""

    def __init__(self) -> None:
        self.invocation = 0

    def factor(self) -> float:
        self.invocation += 1
        return 1 + 0.5 * np.sin(self.invocation / 9) ** 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("factor", "detected"), [(1.25, True), (1.0, False)])
def test_slowdown_of_a_fifth_is_detected_under_varying_load(seed: int, factor: float, detected: bool) -> None:
    load = VaryingLoad()
    before, after = SimulatedWorker(0.01, seed, load), SimulatedWorker(0.01 * factor, 100 + seed, load)
    measured = compare(before, after, "net", "train", 24)
    assert measured.ratio == pytest.approx(1 / factor, rel=0.03) and measured.rounds == 24
    assert (
        measured.low is not None and measured.high is not None and measured.low <= measured.ratio <= measured.high
    )
    assert (measured.ratio < 0.9 and measured.high < 1) == detected


def test_failing_worker_is_the_reason_for_no_measurement() -> None:
    class Broken(SimulatedWorker):
        def seconds(self, kind: str, calls: int) -> float:
            raise RunFailed("v1 cannot be measured: No module named bench.job.speed")

    load = VaryingLoad()
    measured = compare(Broken(1, 0, load), SimulatedWorker(1, 0, load), "net", "infer", 24)
    assert measured.ratio is None and "cannot be measured" in measured.why and measured.what == "inference calls"


def test_worker_process_returns_the_seconds_of_its_work(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "chatty", {"step": 'print("train 1")'}, work=tmp_path / "w")
    with submission_worker(spec, REPOSITORY, "here") as worker:
        first = [worker.seconds("train", 3), worker.seconds("infer", 2)]
        assert all(0 < value < 60 for value in first)
    assert worker.process.returncode is not None


def test_worker_that_cannot_start_reports_its_last_line(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "broken", {"init": 'raise OSError("cannot start")'}, work=tmp_path / "w")
    with (
        submission_worker(spec, REPOSITORY, "v1") as worker,
        pytest.raises(RunFailed, match="v1 cannot be measured.*cannot start"),
    ):
        worker.seconds("train", 1)


def test_unknown_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    content = spec.model_dump(mode="json")
    later = {**content, "new_field": "x", "data": {**content["data"], "another_new_field": "y"}}
    assert JobSpec.model_validate(known_fields(JobSpec, later)) == spec


@pytest.fixture
def revision() -> Iterator[str]:
    """Return the last commit; skip the test if it cannot measure speeds."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-tree", "HEAD", "bench/job/speed.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("not a git checkout with bench.job.speed in its last commit")
    yield "HEAD"


def test_last_commit_is_compared_with_the_working_tree(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "BLOCK_SECONDS", 0.01)
    comparisons = measure_speeds([REPOSITORY / "submissions" / "se_dsconv"], revision, "cpu", 1, rounds=6)
    assert [item.what for item in comparisons] == ["training steps", "inference calls"]
    for item in comparisons:
        assert item.why == "" and item.ratio is not None and item.ratio > 0 and item.before_per_s


def test_revision_or_folder_without_code_is_reported(tmp_path: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="--measure: 'v9' is no revision"):
        measure_speeds([REPOSITORY / "submissions" / "se_dsconv"], "v9", "cpu", 1)
    tree = subprocess.run(
        ["git", "-C", REPOSITORY, "mktree"], input="", capture_output=True, text=True, check=True
    ).stdout.strip()  # a revision without any file
    (comparison, _) = measure_speeds([REPOSITORY / "submissions" / "se_dsconv"], tree, "cpu", 1)
    assert comparison.ratio is None and comparison.why == f"{tree} has no submissions/se_dsconv/model.py"
    spec = make_spec(tmp_path)
    (spec.folder / "submission.yaml").write_text("track: cifar100-classification\n")
    with pytest.raises(UsageError, match="lies outside of"):
        measure_speeds([spec.folder], revision, "cpu", 1)
