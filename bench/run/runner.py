"""Carrying out a plan: verify everything, then run what is to do, side by side; one failure stops nothing."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.contract.jobs import REPORT, WORK, Failure, JobSpec, Problem, Verification, read_report
from bench.contract.records import Record, Status
from bench.errors import BenchError, ExitCode, ResultsError
from bench.files import write_bytes
from bench.run.devices import usable_cores
from bench.run.executors.executor import UNLIMITED, Assignment, Done, Executor, LocalExecutor, failure_of
from bench.run.executors.limits import Limits
from bench.run.executors.local import LOG, Conditions, Stopped, read_log
from bench.run.executors.sandbox import Walls
from bench.run.plan import Entry, Job, Plan, State, read_existing
from bench.run.progress.base import Display
from bench.run.recording import now, record_failure, record_floor, record_success
from bench.run.side_by_side import ItemT, side_by_side

LOCK_POLL_SECONDS = 1.0
VERIFY_SECONDS = 1800.0  # a verification takes seconds; a slow sampler's some minutes


def check_writable(results: Path) -> None:
    """Fail before any work if records cannot be written.

    Raises:
        ResultsError: Naming the folder and the system's reason.
    """
    probe = results / "runs" / ".writable"
    try:
        write_bytes(probe, b"")
        probe.unlink(missing_ok=True)  # another command that starts now may have been quicker
    except OSError as error:
        raise ResultsError(f"{results}: cannot be written ({error.strerror}); choose another --results") from None


@dataclass(frozen=True)
class Verified:
    """How a verification went."""

    found: Verification
    done: Done
    log: str  # what the submission printed, and the traceback if it raised


def verify_in_process(executor: Executor, spec: JobSpec, stop: threading.Event, walls: Walls) -> Verified:
    """Verify one (submission, variant) in a process of its own.

    A submission that cannot be built at all gives a verification without a cost, and with the problem.

    Raises:
        Stopped: If ``stop`` was set meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="capbench-verify-") as folder:
        spec = spec.model_copy(update={"work": Path(folder)})
        conditions = Conditions(Limits(VERIFY_SECONDS, spec.memory_bytes), walls)
        done = executor.run(Assignment(spec, ("verify",), conditions), lambda event: None, stop)
        log = read_log(spec.work)
        if done.failure is None:
            return Verified(read_report(spec.work / "verify" / REPORT["verify"], Verification), done, log)
    problem = Problem(status=done.failure.status, message=done.failure.reason)
    found = Verification(config={}, cost=None, problems=[problem], environment=done.environment)
    return Verified(found, done, log)


def exit_code_of(status: Status) -> ExitCode:
    """4 for a broken cap or contract, 3 for everything else that ends a run."""
    return ExitCode.CONTRACT if status in ("cap", "contract") else ExitCode.RUN_FAILED


class Runner:
    """Carries out one plan. All records are written here, in the parent."""

    def __init__(self, plan: Plan, display: Display, executor: Executor | None = None) -> None:
        self.plan = plan
        self.display = display
        self.stop = threading.Event()
        self.executor = executor or LocalExecutor(plan.settings.device, plan.settings.jobs)
        self.exit_code = ExitCode.OK

    def verify(self, *, record_failures: bool) -> None:
        """Verify every entry that has something to run; those that fail get their records at once, if wanted."""
        entries = [entry for entry in self.plan.entries if any(job.state is State.TO_DO for job in entry.jobs)]
        at_once = self.plan.settings.verified_at_once
        self._side_by_side(lambda entry: self._verify(entry, record_failures), entries, lambda left: at_once)

    def run_floors(self) -> None:
        """Score real images first, with all cores: every run compares with the features that this leaves."""
        self._side_by_side(self._run_floor, self.plan.floors, lambda left: 1)

    def run(self) -> None:
        """Run what is to do. A run that another command is at is waited for, not done twice."""
        busy: list[Job] = []

        def run_or_defer(job: Job) -> None:
            if not self._run(job, wait_for_lock=False):
                busy.append(job)

        at_once = self.plan.settings.jobs_at_once
        self._side_by_side(run_or_defer, self.plan.jobs(State.TO_DO), at_once)
        self._side_by_side(lambda job: self._run(job, wait_for_lock=True), busy, at_once)

    def _side_by_side(
        self, function: Callable[[ItemT], object], items: Sequence[ItemT], room: Callable[[int], int]
    ) -> None:
        """``function`` on every item, as many at a time as there is ``room`` for."""
        side_by_side(function, items, room, tick=self._tick, stop=self.stop.set)

    def _tick(self) -> None:
        self.display.tick()
        self.executor.tick()

    def _fail(self, code: ExitCode) -> None:
        self.exit_code = max(self.exit_code, code)

    def _verify(self, entry: Entry, record_failures: bool) -> None:
        settings = self.plan.settings
        try:
            verified = verify_in_process(self.executor, entry.jobs[0].spec(settings), self.stop, settings.walls)
        except Stopped:
            return
        entry.verification = verified.found
        self.display.verified(entry)
        if not verified.found.problems:
            return
        problem = verified.found.problems[0]
        failure = Failure(status=problem.status, reason=problem.message)
        for job in entry.jobs:
            if job.state is State.TO_DO:
                job.state = State.FAILED
                self._fail(exit_code_of(failure.status))
                if record_failures:
                    with self._costing_this_run_only(job):
                        self._finish_failed(job, failure, verified.done, now(), verified.log)

    def _run_floor(self, job: Job) -> None:
        """Score real images. If that fails it is said, and the runs go on without a floor beside them."""
        with self._costing_this_run_only(job), FileLock(job.path.with_suffix(".lock")):
            if read_existing(job.path, job.identity, self.display.message) is not None and job.earlier is None:
                return  # another command did it
            started_at, settings = now(), self.plan.settings
            spec = job.spec(settings).model_copy(update={"threads": usable_cores()})
            self.display.started(job)
            assignment = Assignment(spec, ("floor",), UNLIMITED)
            done = self.executor.run(assignment, lambda event: self.display.progress(job, event), self.stop)
            if done.failure is None:
                self._finish(job, record_floor(job, started_at, done), State.DONE)
            else:
                self.display.message(f"✗ {job.label}: {done.failure.reason}; log: {spec.work / LOG}")

    def _run(self, job: Job, *, wait_for_lock: bool) -> bool:
        """Run one job to its record; False if another command holds it and we are not to wait."""
        lock = FileLock(job.path.with_suffix(".lock"))
        with self._costing_this_run_only(job):
            job.path.parent.mkdir(parents=True, exist_ok=True)
            while not self.stop.is_set():
                try:
                    with lock.acquire(timeout=LOCK_POLL_SECONDS if wait_for_lock else 0):
                        self._run_locked(job)
                        return True
                except Timeout:
                    if not wait_for_lock:
                        return False
        return True

    @contextmanager
    def _costing_this_run_only(self, job: Job) -> Iterator[None]:
        """Survive that this run's record cannot be written: the disk is full, or the folder is gone."""
        try:
            yield
        except Stopped:
            pass
        except (BenchError, OSError) as error:
            self._fail(getattr(error, "exit_code", ExitCode.RUN_FAILED))
            self.display.message(f"{job.label}: {error}")

    def _run_locked(self, job: Job) -> None:
        current = read_existing(job.path, job.identity, self.display.message)
        if current is not None and (job.earlier is None or current.checksum != job.earlier.checksum):
            # Another command did it while we waited.
            if current.status != "ok":
                self._fail(exit_code_of(current.status))
            self._finish(job, current, State.DONE if current.status == "ok" else State.FAILED)
            return
        started_at, settings, verification = now(), self.plan.settings, job.entry.verification
        assert verification is not None
        if settings.force:
            shutil.rmtree(job.folder / WORK, ignore_errors=True)  # a finished run is repeated from its first step
        assignment = Assignment(job.spec(settings), job.phases, job.conditions(settings))
        self.display.started(job)
        done = self.executor.run(assignment, lambda event: self.display.progress(job, event), self.stop)
        if done.failure is not None:
            self._finish_failed(job, done.failure, done, started_at)
            return
        try:
            record = record_success(job, verification, settings, started_at, done)
        except ResultsError:
            raise
        except BenchError as error:
            self._finish_failed(job, failure_of(error), done, started_at)
            return
        self._finish(job, record, State.DONE)

    def _finish_failed(
        self, job: Job, failure: Failure, done: Done, started_at: str, log: str | None = None
    ) -> None:
        self._fail(exit_code_of(failure.status))
        record = record_failure(job, self.plan.settings, failure, started_at, done, log)
        self._finish(job, record, State.FAILED)

    def _finish(self, job: Job, record: Record, state: State) -> None:
        job.state, job.earlier = state, record
        self.display.finished(job, record)
