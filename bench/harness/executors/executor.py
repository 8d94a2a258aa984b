"""Executors: the interface between the runner, which writes the records, and the machines that run the phases.

An executor takes a job specification and the phases to run. It returns once the phases' output files are in the
specification's work folder on the runner's machine, whichever machine ran them. It writes no records.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bench.contract.jobs.files import REPORT, WEIGHTS, Phase
from bench.contract.jobs.reports import Failure, TrainingReport, read_report
from bench.contract.jobs.spec import JobSpec
from bench.errors import BenchError, ContractError
from bench.harness.executors.limits import Limits
from bench.harness.executors.local import SANDBOXED, OnProgress, PhaseEnvironment, run_phase
from bench.harness.executors.process_tree import adopt_orphans, count_running_phases
from bench.harness.executors.sandbox import NO_SANDBOX, Sandbox
from bench.harness.results.weights_file import check_weights
from bench.measure.machine.environment import capture_machine
from bench.measure.speed.energy import LONGEST_UNREAD_SECONDS, EnergyMeter

UNLIMITED = PhaseEnvironment(Limits(), NO_SANDBOX)  # for phases that run no submission code


@dataclass(frozen=True)
class JobRequest:
    """An executor's input: the phases of a job, in order, with their limits and sandbox."""

    spec: JobSpec
    phases: tuple[Phase, ...]
    phase_environment: PhaseEnvironment


@dataclass(frozen=True)
class JobResult:
    """The outcome of a job's phases, as measured by the harness's process on the machine that ran them."""

    failure: Failure | None  # why a phase left no report; later phases were not run
    environment: dict[str, Any]
    jobs_side_by_side: int  # runs allowed at once on the machine, or on the GPU
    sandbox: Sandbox
    train_seconds: float | None = None  # by this process's clock; None unless training finished in this call
    train_joules: float | None = None  # of the whole device while training; None also without an energy counter
    concurrent_phases: int = 0  # most other phases, of any command, seen on the machine at the same time


class Executor(Protocol):
    """An interface that runs phases. The runner calls ``run`` from several threads at once."""

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        """Run the phases in order until one fails. Skip a phase whose report exists already.

        Args:
            request: The job and its phases.
            on_progress: Called with each progress event, from any thread.
            stop: Event that stops the phases once it is set.

        Raises:
            Stopped: If ``stop`` was set during the run; checkpoints are kept.
        """

    def tick(self) -> None:
        """Do periodic work. The main thread calls this twice per second while runs are active."""

    def close(self) -> None:
        """Release resources after the last run."""


@dataclass(eq=False)
class _RunningJob:
    """The concurrency observed during one job."""

    concurrent: int  # most other phases seen at the same time


class LocalExecutor:
    """An executor on this machine, with one process per phase."""

    def __init__(self, device: str, jobs: int) -> None:
        """Capture the environment and open the energy counter.

        Args:
            device: The device that runs use.
            jobs: How many runs share it.
        """
        self.environment = capture_machine(device)  # captured now: the checkout may change during hours of runs
        self.jobs = jobs
        self._running, self._running_lock = set[_RunningJob](), threading.Lock()
        self._energy = EnergyMeter(device)
        self._energy_read = time.monotonic()
        adopt_orphans()

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        """Run the phases, see ``Executor.run``."""
        with self._count_concurrent() as job:
            result = self._run(request, on_progress, stop)
        return replace(result, concurrent_phases=job.concurrent)

    @contextmanager
    def _count_concurrent(self) -> Iterator["_RunningJob"]:
        """Count the other phases on this machine, of this executor and of other commands."""
        job = _RunningJob(concurrent=count_running_phases())
        with self._running_lock:
            self._running.add(job)
            for running in self._running:
                running.concurrent = max(running.concurrent, len(self._running) - 1)
        try:
            yield job
        finally:
            with self._running_lock:
                self._running.remove(job)
            job.concurrent = max(job.concurrent, count_running_phases())

    def _run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        spec = request.spec.model_copy(update={"machine": self.environment})
        phase_environment = request.phase_environment
        seconds: float | None = None
        joules: float | None = None
        failure: Failure | None = None
        for phase in request.phases:
            already_done = (spec.work / phase / REPORT[phase]).exists()
            start, energy_before = time.monotonic(), self._energy.read()
            environment = phase_environment if phase in SANDBOXED else UNLIMITED
            failure = run_phase(spec, phase, on_progress, stop, environment)
            if phase == "train" and failure is None:
                if not already_done:
                    seconds = time.monotonic() - start
                    joules = _difference(self._energy.read(), energy_before)
                failure = _check_trained_weights(spec)
            if failure is not None:
                break
        return JobResult(failure, self.environment, self.jobs, phase_environment.sandbox, seconds, joules)

    def tick(self) -> None:
        """Read the energy counter before it can overflow."""
        if time.monotonic() - self._energy_read > LONGEST_UNREAD_SECONDS / 2:
            self._energy_read = time.monotonic()
            self._energy.read()

    def close(self) -> None:
        """Do nothing: this executor holds no resources."""


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def failure_of(error: BenchError) -> Failure:
    """Convert an error into the failure of a run, as a record holds it."""
    return Failure(status="contract" if isinstance(error, ContractError) else "error", reason=str(error))


def _check_trained_weights(spec: JobSpec) -> Failure | None:
    """Return why the trained weights must not be evaluated; None if they may be."""
    folder = spec.work / "train"
    try:
        report = read_report(folder / REPORT["train"], TrainingReport)
        check_weights(folder / WEIGHTS, report.weights_sha256)
    except BenchError as error:
        return failure_of(error)
    return None
