"""Where a run's phases are carried out: the seam between the runner, which owns the records, and machines.

An executor is handed a specification and the phases to run, and returns once what they leave lies in the
specification's work folder on the runner's machine, wherever they ran. It writes no records.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bench.contract.jobs import REPORT, WEIGHTS, Failure, JobSpec, Phase, TrainingReport, read_report
from bench.errors import BenchError, ContractError
from bench.measure.energy import LONGEST_UNREAD_SECONDS, EnergyMeter
from bench.measure.environment import capture_machine
from bench.run.executors.limits import Limits
from bench.run.executors.local import SANDBOXED, Conditions, OnProgress, run_phase
from bench.run.executors.sandbox import OPEN, Walls
from bench.run.executors.tree import adopt_orphans, phases_at_work
from bench.run.weights_file import check_weights

UNLIMITED = Conditions(Limits(), OPEN)  # of what runs no submission's code


@dataclass(frozen=True)
class Assignment:
    """What an executor is handed: phases of a job, in order, and the conditions under which they run."""

    spec: JobSpec
    phases: tuple[Phase, ...]
    conditions: Conditions


@dataclass(frozen=True)
class Done:
    """How the phases went, as the harness's own process saw it on the machine that ran them."""

    failure: Failure | None  # why a phase ended without its report; the ones after it did not run
    environment: dict[str, Any]
    jobs_side_by_side: int  # runs that shared the machine, or the GPU
    walls: Walls
    train_seconds: float | None = None  # by this process's clock; None where training was done before
    train_joules: float | None = None  # of the whole device meanwhile; None also where it has no counter
    beside: int = 0  # most phases of this and other commands that were seen on the machine meanwhile


class Executor(Protocol):
    """Runs phases. ``run`` is called from several threads at once."""

    def run(self, assignment: Assignment, on_progress: OnProgress, stop: threading.Event) -> Done:
        """Run the phases, one after another, until one fails. One whose report is there already is passed over.

        Args:
            assignment: What to run.
            on_progress: Called with each event, from any thread.
            stop: Set to stop.

        Raises:
            Stopped: If ``stop`` was set meanwhile; checkpoints are kept.
        """

    def tick(self) -> None:
        """Called twice a second from the main thread while runs go on."""

    def close(self) -> None:
        """Nothing more will be run."""


@dataclass(eq=False)
class _Company:
    """Of one assignment."""

    most: int  # phases beside its own


class LocalExecutor:
    """On this machine: a process a phase."""

    def __init__(self, device: str, jobs: int) -> None:
        """Of ``jobs`` runs side by side on ``device``."""
        self.environment = capture_machine(device)  # now: hours later the checkout may have changed
        self.jobs = jobs
        self._at_work, self._counting = set[_Company](), threading.Lock()
        self._energy = EnergyMeter(device)
        self._energy_read = time.monotonic()
        adopt_orphans()

    def run(self, assignment: Assignment, on_progress: OnProgress, stop: threading.Event) -> Done:
        """As ``Executor.run``."""
        with self._counted() as company:
            done = self._run(assignment, on_progress, stop)
        return replace(done, beside=company.most)

    @contextmanager
    def _counted(self) -> Iterator["_Company"]:
        """Count who else is at work, on this executor and beside it."""
        own = _Company(most=phases_at_work())
        with self._counting:
            self._at_work.add(own)
            for each in self._at_work:
                each.most = max(each.most, len(self._at_work) - 1)
        try:
            yield own
        finally:
            with self._counting:
                self._at_work.remove(own)
            own.most = max(own.most, phases_at_work())

    def _run(self, assignment: Assignment, on_progress: OnProgress, stop: threading.Event) -> Done:
        spec = assignment.spec.model_copy(update={"machine": self.environment})
        conditions = assignment.conditions
        seconds: float | None = None
        joules: float | None = None
        failure: Failure | None = None
        for phase in assignment.phases:
            is_done = (spec.work / phase / REPORT[phase]).exists()
            began, energy_before = time.monotonic(), self._energy.read()
            walled = conditions if phase in SANDBOXED else UNLIMITED
            failure = run_phase(spec, phase, on_progress, stop, walled)
            if phase == "train" and failure is None:
                if not is_done:
                    seconds = time.monotonic() - began
                    joules = _difference(self._energy.read(), energy_before)
                failure = _judge_weights(spec)
            if failure is not None:
                break
        return Done(failure, self.environment, self.jobs, conditions.walls, seconds, joules)

    def tick(self) -> None:
        """Read the energy counter before it can turn over."""
        if time.monotonic() - self._energy_read > LONGEST_UNREAD_SECONDS / 2:
            self._energy_read = time.monotonic()
            self._energy.read()

    def close(self) -> None:
        """Nothing is held."""


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def failure_of(error: BenchError) -> Failure:
    """How a run is recorded that ended so."""
    return Failure(status="contract" if isinstance(error, ContractError) else "error", reason=str(error))


def _judge_weights(spec: JobSpec) -> Failure | None:
    """Why what training left must not go on to evaluation; None if it may."""
    folder = spec.work / "train"
    try:
        report = read_report(folder / REPORT["train"], TrainingReport)
        check_weights(folder / WEIGHTS, report.weights_sha256)
    except BenchError as error:
        return failure_of(error)
    return None
