"""What happens before any run starts, and what the runner measures while one goes on."""

import io
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.contract.jobs import Failure
from bench.contract.records import read_record, record_paths
from bench.contract.tracks import load_tracks
from bench.errors import ExitCode, ResultsError
from bench.run.command import RunOptions, run_command
from bench.run.discovery import discover
from bench.run.executors.executor import Assignment, Done
from bench.run.executors.local import OnProgress
from bench.run.executors.sandbox import OPEN
from bench.run.plan import make_plan
from bench.run.progress.json_lines import JsonLines
from bench.run.runner import Runner, check_writable
from bench.run.settings import Settings
from tests.making import write_submission, write_track
from tests.warm import warm_phases


def test_commands_that_start_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(check_writable, tmp_path) for _ in range(400)]:
            done.result()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ResultsError, match=r"results: cannot be written .*; choose another --results"):
        check_writable(tmp_path / "results")


class Watched:
    """An executor that does nothing but count how many are at it, and waits a little for company."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.change = threading.Condition()

    def run(self, assignment: Assignment, on_progress: OnProgress, stop: threading.Event) -> Done:
        with self.change:
            self.now += 1
            self.most = max(self.most, self.now)
            self.change.notify_all()
            self.change.wait_for(lambda: self.most > 1, timeout=1.0)
            self.now -= 1
        return Done(Failure(status="error", reason="nothing was done"), {}, 1, OPEN)

    def tick(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("profile", "elsewhere", "most"), [("official", False, 1), ("official", True, 2), ("quick", False, 2)]
)
def test_speeds_that_are_reported_are_measured_one_at_a_time(
    profile: str, elsewhere: bool, most: int, tmp_path: Path
) -> None:
    found, _ = discover(
        [write_submission(tmp_path, name) for name in ("one", "another")], load_tracks(write_track(tmp_path))
    )
    settings = Settings(
        profile=profile,
        seeds="1",
        variants="base",
        device="cpu",
        results=tmp_path / "results",
        data_root=tmp_path,
        jobs=2,
        elsewhere=elsewhere,
    )
    plan, problems = make_plan(found, settings)
    assert not problems and len(plan.entries) == 2
    executor = Watched()
    Runner(plan, JsonLines(io.StringIO()), executor).verify(record_failures=False)
    assert executor.most == most


@pytest.mark.parametrize("joules", [7.0, None])
def test_joules_are_what_the_device_used_while_it_trained(
    joules: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = itertools.count(100.0, 7.0)  # one before the train phase, one after it

    class Meter:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def read(self) -> float | None:
            return None if joules is None else next(readings)

    monkeypatch.setattr("bench.run.executors.executor.EnergyMeter", Meter)
    monkeypatch.setattr("bench.run.executors.executor.LONGEST_UNREAD_SECONDS", 1e9)
    options = RunOptions(
        paths=[write_submission(tmp_path, "honest")],
        profile="quick",
        seeds="1",
        variants="base",
        device="cpu",
        data_root=None,
        embedded=False,
        track_file=write_track(tmp_path),
        results=tmp_path / "results",
        dry_run=False,
        jobs=2,
        retry_failed=False,
        force=False,
    )
    with warm_phases():
        assert run_command(options).exit_code == ExitCode.OK
    (path,) = record_paths(tmp_path / "results")
    assert read_record(path).timing.training_joules == joules
