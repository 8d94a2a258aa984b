"""Speeds by turns. Nothing that a clock says is asserted: the statistics have made-up clocks."""

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


class MadeUp:
    """A worker whose calls take ``seconds`` each, times the machine's mood, times noise of its own."""

    def __init__(self, seconds: float, seed: int, moods: "Moods") -> None:
        self.cost, self.moods = seconds, moods
        self.generator = np.random.default_rng(seed)

    def seconds(self, kind: str, calls: int) -> float:
        return calls * self.cost * self.moods.now() * float(self.generator.lognormal(0, 0.02))


class Moods:
    """A machine that becomes up to half as fast again, slowly, while it is measured."""

    def __init__(self) -> None:
        self.invocation = 0

    def now(self) -> float:
        self.invocation += 1
        return 1 + 0.5 * np.sin(self.invocation / 9) ** 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("factor", "found"), [(1.25, True), (1.0, False)])
def test_a_fifth_slower_is_seen_on_a_moody_machine(seed: int, factor: float, found: bool) -> None:
    moods = Moods()
    then, now = MadeUp(0.01, seed, moods), MadeUp(0.01 * factor, 100 + seed, moods)
    measured = compare(then, now, "net", "train", 24)
    assert measured.ratio == pytest.approx(1 / factor, rel=0.03) and measured.rounds == 24
    assert (
        measured.low is not None and measured.high is not None and measured.low <= measured.ratio <= measured.high
    )
    assert (measured.ratio < 0.9 and measured.high < 1) == found


def test_a_worker_that_fails_is_why_nothing_was_measured() -> None:
    class Broken(MadeUp):
        def seconds(self, kind: str, calls: int) -> float:
            raise RunFailed("v1 cannot be measured: No module named bench.job.speed")

    moods = Moods()
    measured = compare(Broken(1, 0, moods), MadeUp(1, 0, moods), "net", "infer", 24)
    assert measured.ratio is None and "cannot be measured" in measured.why and measured.what == "inference calls"


def test_a_process_answers_with_the_seconds_of_its_work(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "chatty", {"step": 'print("train 1")'}, work=tmp_path / "w")
    with submission_worker(spec, REPOSITORY, "here") as worker:
        first = [worker.seconds("train", 3), worker.seconds("infer", 2)]
        assert all(0 < value < 60 for value in first)
    assert worker.process.returncode is not None


def test_a_process_that_cannot_start_says_its_last_line(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "broken", {"init": 'raise OSError("no such luck")'}, work=tmp_path / "w")
    with (
        submission_worker(spec, REPOSITORY, "v1") as worker,
        pytest.raises(RunFailed, match="v1 cannot be measured.*no such luck"),
    ):
        worker.seconds("train", 1)


def test_what_a_later_version_has_to_say_more_is_passed_over(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    content = spec.model_dump(mode="json")
    later = {**content, "mood": "good", "data": {**content["data"], "smell": "none"}}
    assert JobSpec.model_validate(known_fields(JobSpec, later)) == spec


@pytest.fixture
def revision() -> Iterator[str]:
    """The last commit, where it can measure itself."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-tree", "HEAD", "bench/job/speed.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("not a git checkout with bench.job.speed in its last commit")
    yield "HEAD"


def test_the_last_commit_beside_the_working_tree(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "BLOCK_SECONDS", 0.01)
    found = measure_speeds([REPOSITORY / "submissions" / "se_dsconv"], revision, "cpu", 1, rounds=6)
    assert [item.what for item in found] == ["training steps", "inference calls"]
    for item in found:
        assert item.why == "" and item.ratio is not None and item.ratio > 0 and item.before_per_s


def test_what_has_no_code_to_measure(tmp_path: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="--measure: 'v9' is no revision"):
        measure_speeds([REPOSITORY / "submissions" / "se_dsconv"], "v9", "cpu", 1)
    tree = subprocess.run(
        ["git", "-C", REPOSITORY, "mktree"], input="", capture_output=True, text=True, check=True
    ).stdout.strip()  # a revision without any file
    (found, _) = measure_speeds([REPOSITORY / "submissions" / "se_dsconv"], tree, "cpu", 1)
    assert found.ratio is None and found.why == f"{tree} has no submissions/se_dsconv/model.py"
    spec = make_spec(tmp_path)
    (spec.folder / "submission.yaml").write_text("track: cifar100-classification\n")
    with pytest.raises(UsageError, match="lies outside of"):
        measure_speeds([spec.folder], revision, "cpu", 1)
