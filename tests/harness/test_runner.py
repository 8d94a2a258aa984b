"""What happens before any run starts, and what the runner measures while one goes on."""

import io
import itertools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.contract.jobs.files import REPORT
from bench.contract.jobs.reports import Failure, GpuLoad, Verification
from bench.contract.jobs.spec import JobSpec
from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Throughput
from bench.contract.tracks import load_tracks
from bench.errors import ExitCode, ResultsError
from bench.files import write_bytes
from bench.harness.commands.run import run_command
from bench.harness.config import RunConfig
from bench.harness.executors.executor import UNLIMITED, JobRequest, JobResult, LocalExecutor
from bench.harness.executors.local import OnProgress
from bench.harness.executors.process_tree import count_running_phases
from bench.harness.executors.sandbox import NO_SANDBOX
from bench.harness.planning.planner import make_plan
from bench.harness.progress.json_lines import JsonLines
from bench.harness.runner import Runner, check_writable
from bench.harness.submissions.discovery import discover
from bench.measure.machine.environment import capture_environment
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


class Phases:
    """An executor whose phases do nothing, and that remembers in which order they began, and how many at once.

    ``hold`` keeps back what it names until ``free`` is begun.
    """

    def __init__(self, hold: str = "", free: str = "") -> None:
        self.now = self.most = 0
        self.hold, self.free = hold, free
        self.begun: list[str] = []
        self.change = threading.Condition()

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        spec, phase = request.spec, request.phases[0]
        name = f"{phase} {spec.submission}" + ("" if phase == "verify" else f" {spec.seed}")
        with self.change:
            self.begun.append(name)
            self.now += 1
            self.most = max(self.most, self.now)
            self.change.notify_all()
            if name == self.hold:
                assert self.change.wait_for(lambda: self.free in self.begun, timeout=60)
            elif self.most == 1:
                self.change.wait_for(lambda: self.most > 1, timeout=0.2)  # for company
            self.now -= 1
        if phase != "verify":
            return JobResult(Failure(status="error", reason="nothing was trained"), {}, 1, NO_SANDBOX)
        found = Verification(config={}, cost=None, problems=[], environment={}, training_steps_per_s=RATE)
        write_bytes(spec.work / "verify" / REPORT["verify"], found.model_dump_json().encode())
        return JobResult(None, {}, 1, NO_SANDBOX, concurrent_phases=3)

    def tick(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing is held."""


RATE = Throughput(median_per_s=1e3, iqr_per_s=0, blocks=10, calls_per_block=1, items_per_call=1, dtype="float32")


def runner_of(folder: Path, phases: Phases, **options: Any) -> Runner:
    """Of two submissions, ``one`` and ``two``, of two seeds each, on two places."""
    found, _ = discover(
        [write_submission(folder, name) for name in ("one", "two")], load_tracks(write_track(folder))
    )
    given = {"profile": "quick", "seeds": "2", "device": "cpu", "jobs": 2, **options}
    plan = make_plan(found, RunConfig(results=folder / "results", data_root=folder, **given))
    assert not plan.problems and len(plan.entries) == 2
    return Runner(plan, JsonLines(io.StringIO()), phases)


def test_a_run_begins_as_soon_as_its_submission_is_verified(tmp_path: Path) -> None:
    """The other one's verification ends only once all runs of the first have begun: nobody waits for it."""
    executor = Phases(hold="verify two", free="train one 1")
    runner = runner_of(tmp_path, executor)
    runner.run()
    assert sorted(executor.begun[:2]) == ["verify one", "verify two"]
    assert executor.begun[2:4] == ["train one 0", "train one 1"]
    assert sorted(executor.begun[4:]) == ["train two 0", "train two 1"]
    assert executor.most == 2


def test_runs_begin_in_the_order_of_the_plan_whichever_was_verified_first(tmp_path: Path) -> None:
    executor = Phases()
    runner = runner_of(tmp_path, executor)
    (first, one), (second, two) = enumerate(runner.plan.entries)
    waiting = [*runner._verify_to_run(second, two), *runner._verify_to_run(first, one)]
    for work in sorted(waiting, key=lambda work: work.rank):
        work.do()
    assert executor.begun[2:] == ["train one 0", "train one 1", "train two 0", "train two 1"]


def test_all_is_verified_before_anything_runs_on_one_place(tmp_path: Path) -> None:
    executor = Phases()
    runner_of(tmp_path, executor, jobs=1).run()
    assert executor.begun == [
        "verify one",
        "verify two",
        "train one 0",
        "train one 1",
        "train two 0",
        "train two 1",
    ]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"profile": "official"}, 1),
        ({"profile": "official", "executor": "slurm"}, 2),
        ({"profile": "official", "speeds": "beside"}, 2),
        ({"speeds": "alone"}, 1),
        ({}, 2),
    ],
)
def test_speeds_are_measured_alone_where_that_is_wanted(
    options: dict[str, Any], most: int, tmp_path: Path
) -> None:
    executor = Phases()
    runner_of(tmp_path, executor, **options).verify()
    assert executor.most == most and sorted(executor.begun) == ["verify one", "verify two"]


def test_alone_means_without_runs_too(tmp_path: Path) -> None:
    executor = Phases()
    runner_of(tmp_path, executor, speeds="alone").run()
    assert executor.begun[:2] == ["verify one", "verify two"] and executor.most == 2


def test_speeds_say_how_many_shared_the_machine(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, Phases())
    runner.verify()
    for entry in runner.plan.entries:
        assert entry.verification is not None and entry.verification.training_steps_per_s is not None
        assert entry.verification.training_steps_per_s.concurrent_runs == 3
        assert entry.verification.training_steps_per_s.noisy


@pytest.mark.parametrize(("busy", "most"), [(1.0, 1), (0.4, 3), (0.05, 4)])
def test_on_a_gpu_as_many_runs_go_on_as_keep_it_busy(busy: float, most: int, tmp_path: Path) -> None:
    runner = runner_of(tmp_path, Phases(), jobs=4)
    runner.plan = replace(runner.plan, config=replace(runner.plan.config, device="cuda", jobs_chosen=True))
    load = GpuLoad(busy=busy, memory_bytes=2**30)
    for entry in runner.plan.entries:
        entry.verification = Verification(
            config={}, cost=None, problems=[], environment={"device_memory_bytes": 2**36}, load=load
        )
    assert runner._slots(4) == most
    assert runner_of(tmp_path / "fixed", Phases(), jobs=4)._slots(4) == 4


def test_the_machine_is_looked_at_once_a_command_and_not_once_a_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "bench.measure.machine.environment.git", lambda folder, *words: asked.append(words[0]) or b""
    )
    monkeypatch.setattr("bench.measure.machine.environment._driver", lambda: asked.append("driver") or "580.1")
    executor = LocalExecutor("cuda", 1)  # whose phases, with this, ask nobody
    assert asked == ["status", "rev-parse", "driver"]
    given: list[JobSpec] = []
    monkeypatch.setattr(
        "bench.harness.executors.executor.run_phase", lambda spec, *others: given.append(spec) or FAILED
    )
    spec = runner_of(tmp_path, Phases()).plan.jobs()[0]
    executor.run(
        JobRequest(
            spec.spec(RunConfig(profile="quick", device="cpu", results=tmp_path, data_root=tmp_path)),
            ("train",),
            UNLIMITED,
        ),
        print,
        threading.Event(),
    )
    assert given[0].machine == executor.environment
    found = capture_environment("cpu", given[0].machine)
    assert len(asked) == 3
    assert found["driver"] == "580.1" and found["threads"] >= 1 and found["repository"] is not None


FAILED = Failure(status="error", reason="nothing was done")


def test_others_on_the_machine_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases of whatever command, once each: what a sandbox wraps has the same words in its own command."""
    words = ["-P", "-m", "bench.job.main", "train", str(tmp_path)]
    phase = [sys.executable, "-c", "import time; time.sleep(60)", *words]
    wrapper = ["/usr/bin/bwrap", "-c", "sleep 60; true", *words]
    with subprocess.Popen(phase) as process, subprocess.Popen(wrapper, executable="/bin/bash") as wrapped:
        ours, everything = (process.pid, wrapped.pid), psutil.process_iter
        monkeypatch.setattr(
            psutil, "process_iter", lambda names: (each for each in everything(names) if each.pid in ours)
        )
        try:
            assert count_running_phases() == 1
        finally:
            process.kill()
            wrapped.kill()


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

    monkeypatch.setattr("bench.harness.executors.executor.EnergyMeter", Meter)
    monkeypatch.setattr("bench.harness.executors.executor.LONGEST_UNREAD_SECONDS", 1e9)
    config = RunConfig(
        paths=[write_submission(tmp_path, "honest")],
        profile="quick",
        seeds="1",
        device="cpu",
        track_file=write_track(tmp_path),
        results=tmp_path / "results",
        jobs=2,
    )
    with warm_phases():
        assert run_command(config).exit_code == ExitCode.OK
    (path,) = record_paths(tmp_path / "results")
    assert read_record(path).timing.training_joules == joules
