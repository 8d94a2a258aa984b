"""The runner: checks before any run, the order and number of parallel phases, and measurements during runs."""

import io
import itertools
import json
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
from bench.harness.results.recording import check_writable
from bench.harness.runner import Runner
from bench.harness.submissions.discovery import discover
from bench.locks import locked
from bench.measure.machine.environment import capture_environment
from tests.making import write_submission, write_track
from tests.warm import warm_phases


def test_concurrent_write_checks_do_not_interfere(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(check_writable, tmp_path) for _ in range(400)]:
            future.result()
    assert list((tmp_path / "runs").iterdir()) == []


def test_unwritable_results_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ResultsError, match=r"results: cannot be written .*; choose another --results"):
        check_writable(tmp_path / "results")


class FakeExecutor:
    """An executor whose phases do nothing; it records their order and their largest number at once.

    The phase named ``hold`` does not end until the phase named ``free`` has started.
    """

    def __init__(self, hold: str = "", free: str = "") -> None:
        self.running = self.most = 0
        self.hold, self.free = hold, free
        self.started: list[str] = []
        self.in_turn: list[bool] = []  # of the verifications
        self.seconds: list[float | None] = []  # time limits
        self.change = threading.Condition()

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        spec, phase = request.spec, request.phases[0]
        name = f"{phase} {spec.submission}" + ("" if phase == "verify" else f" {spec.seed}")
        with self.change:
            self.started.append(name)
            self.in_turn += [spec.speeds_in_turn] if phase == "verify" else []
            self.seconds.append(request.phase_environment.limits.seconds)
            self.running += 1
            self.most = max(self.most, self.running)
            self.change.notify_all()
            if name == self.hold:
                assert self.change.wait_for(lambda: self.free in self.started, timeout=60)
            elif self.most == 1:
                self.change.wait_for(lambda: self.most > 1, timeout=0.2)  # time for a second phase to start
            self.running -= 1
        if phase != "verify":
            return JobResult(Failure(status="error", reason="nothing was trained"), {}, 1, NO_SANDBOX)
        verification = Verification(config={}, cost=None, problems=[], environment={}, training_steps_per_s=RATE)
        write_bytes(spec.work / "verify" / REPORT["verify"], verification.model_dump_json().encode())
        return JobResult(None, {}, 1, NO_SANDBOX, concurrent_phases=3)

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: no resources are held."""


RATE = Throughput(median_per_s=1e3, iqr_per_s=0, blocks=10, calls_per_block=1, items_per_call=1, dtype="float32")


def runner_of(folder: Path, fake_executor: FakeExecutor, **options: Any) -> Runner:
    """Return a runner for two submissions, ``one`` and ``two``, with two seeds each and two parallel jobs."""
    sources, _ = discover(
        [write_submission(folder, name) for name in ("one", "two")], load_tracks(write_track(folder))
    )
    settings = {"profile": "quick", "seeds": "2", "device": "cpu", "jobs": 2, **options}
    plan = make_plan(sources, RunConfig(results=folder / "results", data_root=folder, **settings))
    assert not plan.problems and len(plan.entries) == 2
    return Runner(plan, JsonLines(io.StringIO()), fake_executor)


def test_run_starts_as_soon_as_its_submission_is_verified(tmp_path: Path) -> None:
    """The verification of ``two`` ends only after all runs of ``one`` have started: they do not wait for it."""
    executor = FakeExecutor(hold="verify two", free="train one 1")
    runner = runner_of(tmp_path, executor)
    runner.run()
    assert sorted(executor.started[:2]) == ["verify one", "verify two"]
    assert executor.started[2:4] == ["train one 0", "train one 1"]
    assert sorted(executor.started[4:]) == ["train two 0", "train two 1"]
    assert executor.most == 2


class FailingExecutor(FakeExecutor):
    """An executor that cannot verify ``one``, for example because the disk is full."""

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        if (request.phases, request.spec.submission) == (("verify",), "one"):
            raise OSError(28, "No space left on device")
        return super().run(request, on_progress, stop)


@pytest.mark.parametrize("speeds", ["alone", "shared"])
def test_error_of_one_verification_does_not_stop_the_others(speeds: str, tmp_path: Path) -> None:
    executor = FailingExecutor()
    runner = runner_of(tmp_path, executor, speeds=speeds)
    stream = io.StringIO()
    runner.display = JsonLines(stream)
    runner.run()
    assert executor.started[0] == "verify two" and sorted(executor.started[1:]) == ["train two 0", "train two 1"]
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [e["text"] for e in events if e["event"] == "message"] == ["✗ one: [Errno 28] No space left on device"]
    assert [event["runs"] for event in events if event["event"] == "estimate"] == [4]  # two of them cannot start
    assert runner.exit_code == ExitCode.RUN_FAILED


def test_waiting_for_a_lock_ends_when_the_command_is_stopped(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, FakeExecutor())
    job = runner.plan.jobs[0]
    with locked(job.lock), ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(runner._wait_and_run, job), pool.submit(runner._score_real_images, job)
        runner.stop.set()
        for future in waiting:
            future.result()  # before the lock is released
    assert runner.executor.started == []  # type: ignore[attr-defined]
    assert runner.exit_code == ExitCode.OK


def test_runs_start_in_plan_order_whatever_the_order_of_verification(tmp_path: Path) -> None:
    executor = FakeExecutor()
    runner = runner_of(tmp_path, executor)
    (first, one), (second, two) = enumerate(runner.plan.entries)
    for entry in (two, one):
        runner._verify(entry, record_failure=True)
    waiting = [*runner._runs_of(second, two), *runner._runs_of(first, one)]
    for work in sorted(waiting, key=lambda work: work.rank):
        work.do()
    assert executor.started[2:] == ["train one 0", "train one 1", "train two 0", "train two 1"]


def test_one_job_verifies_all_submissions_before_any_run(tmp_path: Path) -> None:
    executor = FakeExecutor()
    runner_of(tmp_path, executor, jobs=1).run()
    assert executor.started == [
        "verify one",
        "verify two",
        "train one 0",
        "train one 1",
        "train two 0",
        "train two 1",
    ]


@pytest.mark.parametrize(
    ("options", "in_turn"),
    [
        ({"profile": "official"}, True),
        ({"profile": "official", "executor": "slurm"}, False),
        ({"profile": "official", "speeds": "shared"}, False),
        ({"speeds": "alone"}, True),
        ({}, False),
    ],
)
def test_verifications_run_in_parallel_and_measure_in_turn_if_speeds_are_measured_alone(
    options: dict[str, Any], in_turn: bool, tmp_path: Path
) -> None:
    executor = FakeExecutor()
    runner_of(tmp_path, executor, **options).verify()
    assert executor.most == 2 and sorted(executor.started) == ["verify one", "verify two"]
    assert executor.in_turn == [in_turn, in_turn]


@pytest.mark.parametrize(("timeout", "expected"), [(None, 900), (30.0, 180), (2000.0, 2000)])
def test_time_limit_of_a_verification_follows_the_option(
    timeout: float | None, expected: float, tmp_path: Path
) -> None:
    """One that does not end would hold up an official run; a short limit of runs is too short for it."""
    executor = FakeExecutor()
    runner_of(tmp_path, executor, timeout_seconds=timeout).verify()
    assert executor.seconds == [expected, expected]


def test_runs_wait_until_speeds_are_measured_alone(tmp_path: Path) -> None:
    executor = FakeExecutor()
    runner_of(tmp_path, executor, speeds="alone").run()
    assert executor.started[:2] == ["verify one", "verify two"] and executor.most == 2


def test_speed_records_the_number_of_concurrent_runs(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, FakeExecutor())
    runner.verify()
    for entry in runner.plan.entries:
        speed = runner.state.verifications[entry].training_steps_per_s
        assert speed is not None and speed.concurrent_runs == 3 and speed.noisy


@pytest.mark.parametrize(("busy", "most"), [(1.0, 1), (0.4, 3), (0.05, 4)])
def test_number_of_runs_on_a_gpu_follows_its_load(busy: float, most: int, tmp_path: Path) -> None:
    runner = runner_of(tmp_path, FakeExecutor(), jobs=4)
    config = replace(runner.plan.config, device="cuda", jobs_chosen=True)
    runner = Runner(replace(runner.plan, config=config), runner.display, runner.executor)
    load = GpuLoad(busy=busy, memory_bytes=2**30)
    for entry in runner.plan.entries:
        runner.state.verifications[entry] = Verification(
            config={}, cost=None, problems=[], environment={"device_memory_bytes": 2**36}, load=load
        )
    assert runner._slots(4) == most
    assert runner_of(tmp_path / "fixed", FakeExecutor(), jobs=4)._slots(4) == 4


def test_machine_is_inspected_once_per_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(
        "bench.measure.machine.environment.git", lambda folder, *words: calls.append(words[0]) or b""
    )
    monkeypatch.setattr("bench.measure.machine.environment._driver", lambda: calls.append("driver") or "580.1")
    executor = LocalExecutor("cuda", 1)  # inspects the machine for all its phases
    assert calls == ["status", "rev-parse", "driver"]
    specs: list[JobSpec] = []
    monkeypatch.setattr(
        "bench.harness.executors.executor.run_phase", lambda spec, *others: specs.append(spec) or FAILED
    )
    spec = runner_of(tmp_path, FakeExecutor()).plan.jobs[0]
    executor.run(
        JobRequest(
            spec.spec(RunConfig(profile="quick", device="cpu", results=tmp_path, data_root=tmp_path)),
            ("train",),
            UNLIMITED,
        ),
        print,
        threading.Event(),
    )
    assert specs[0].machine == executor.environment
    environment = capture_environment("cpu", specs[0].machine)
    assert len(calls) == 3
    assert (
        environment["driver"] == "580.1" and environment["threads"] >= 1 and environment["repository"] is not None
    )


FAILED = Failure(status="error", reason="nothing was done")


def test_running_phases_are_counted_without_sandbox_wrappers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox wrapper has the phase's arguments in its own command line, but is not a second phase."""
    arguments = ["-P", "-m", "bench.job.main", "train", str(tmp_path)]
    phase_command = [sys.executable, "-c", "import time; time.sleep(60)", *arguments]
    wrapper_command = ["/usr/bin/bwrap", "-c", "sleep 60; true", *arguments]
    with (
        subprocess.Popen(phase_command) as phase,
        subprocess.Popen(wrapper_command, executable="/bin/bash") as wrapper,
    ):
        ours, process_iter = (phase.pid, wrapper.pid), psutil.process_iter
        monkeypatch.setattr(
            psutil, "process_iter", lambda names: (item for item in process_iter(names) if item.pid in ours)
        )
        try:
            assert count_running_phases() == 1
        finally:
            phase.kill()
            wrapper.kill()


@pytest.mark.parametrize("joules", [7.0, None])
def test_training_joules_are_the_energy_between_start_and_end_of_training(
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
        track=write_track(tmp_path),
        results=tmp_path / "results",
        jobs=2,
    )
    with warm_phases():
        assert run_command(config).exit_code == ExitCode.OK
    (path,) = record_paths(tmp_path / "results")
    assert read_record(path).timing.training_joules == joules
