"""Carrying out a plan: verify everything, then run what is to do, side by side; one failure stops nothing."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from bench.contract.asked import note_asked
from bench.contract.jobs import BEGUN, REPORT, WORK, Begun, Failure, JobSpec, Problem, Verification, read_report
from bench.contract.records import Record, Status
from bench.errors import BenchError, ExitCode, ResultsError
from bench.files import write_bytes
from bench.locks import InUse, locked
from bench.run.devices import usable_cores
from bench.run.executors.executor import UNLIMITED, Assignment, Done, Executor, LocalExecutor, failure_of
from bench.run.executors.limits import Limits
from bench.run.executors.local import LOG, Conditions, Stopped, read_log
from bench.run.executors.sandbox import Walls
from bench.run.plan import Entry, Job, Plan, State, read_existing
from bench.run.progress.base import Display
from bench.run.recording import now, record_failure, record_floor, record_success
from bench.run.side_by_side import side_by_side

LOCK_POLL_SECONDS = 1.0
VERIFY_SECONDS = 1800.0  # a verification takes seconds; a slow sampler's some minutes


@dataclass(frozen=True)
class Work:
    """Something that has to be done, and what follows from it."""

    rank: tuple[int, ...]  # the least of those that wait is begun first
    do: Callable[[], "list[Work] | None"]


VERIFYING, FLOOR, RUN, BUSY = range(4)  # first numbers of a rank: what is verified goes before what is run


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
            found = read_report(spec.work / "verify" / REPORT["verify"], Verification)
            return Verified(_beside(found, done.beside), done, log)
    problem = Problem(status=done.failure.status, message=done.failure.reason)
    found = Verification(config={}, cost=None, problems=[problem], environment=done.environment)
    return Verified(found, done, log)


def _beside(found: Verification, others: int) -> Verification:
    """The same with speeds that say how many shared the machine while they were measured."""
    rates = {name: getattr(found, name) for name in ("training_steps_per_s", "inference_images_per_s")}
    measured = {name: rate for name, rate in rates.items() if rate is not None}
    return found.model_copy(
        update={name: rate.model_copy(update={"beside": others}) for name, rate in measured.items()}
    )


def _put(runs: list[Work], do: Callable[[], list[Work] | None]) -> None:
    runs += do() or []


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
        self._left = 0  # entries that are not verified yet
        self._counting = threading.Lock()

    def verify(self) -> None:
        """Verify every entry that has something to run, and leave it at that."""
        entries, settings = self._to_verify(), self.plan.settings
        at_once = 1 if settings.speeds_alone else settings.jobs
        verify = partial(self._verify, record_failure=False)
        self._side_by_side([Work((i,), partial(verify, entry)) for i, entry in enumerate(entries)], at_once)
        self.display.estimated(self.plan)

    def run(self) -> None:
        """Verify and run what is to do. An entry that fails has its records at once, and costs no other.

        What is verified goes before what is run, so that a fault is known early; but nothing that has a place to
        run waits for the rest to be verified, unless speeds are to be measured alone.
        """
        settings = self.plan.settings
        if settings.compile == "off" or settings.elsewhere:
            self._verify_and_run()
            return
        with tempfile.TemporaryDirectory(prefix="capbench-compiled-", ignore_cleanup_errors=True) as folder:
            self.plan.settings = replace(settings, compiled=Path(folder))
            self._verify_and_run()

    def _verify_and_run(self) -> None:
        entries, settings = self._to_verify(), self.plan.settings
        verifying = [
            Work((VERIFYING, i), partial(self._verify_to_run, i, entry)) for i, entry in enumerate(entries)
        ]
        self._left = len(entries)
        if settings.speeds_alone:
            runs: list[Work] = []
            self._side_by_side([replace(work, do=partial(_put, runs, work.do)) for work in verifying], 1)
            self._side_by_side([*self._floors(), *runs], None)
        else:
            self._side_by_side([*verifying, *self._floors()], None)

    def run_floors(self) -> None:
        """Score real images, and nothing else."""
        self._side_by_side(self._floors(), 1)

    def _floors(self) -> list[Work]:
        return [Work((FLOOR, i), partial(self._run_floor, job)) for i, job in enumerate(self.plan.floors)]

    def _to_verify(self) -> list[Entry]:
        return [entry for entry in self.plan.entries if any(job.state is State.TO_DO for job in entry.jobs)]

    def _verify_to_run(self, place: int, entry: Entry) -> list[Work]:
        """Verify the entry that has a ``place`` among all; what of it is to be run now."""
        self._verify(entry, record_failure=True)
        with self._counting:
            self._left -= 1
            if self._left == 0 and not self.stop.is_set():
                self.display.estimated(self.plan)
        if entry.verification is None:
            return []
        to_do = [job for job in entry.jobs if job.state is State.TO_DO]
        return [Work((RUN, place, i), partial(self._run_or_defer, job)) for i, job in enumerate(to_do)]

    def _run_or_defer(self, job: Job) -> list[Work]:
        """Run a job, unless another command is at it: then it is waited for after the others, not done twice."""
        if self._run(job, wait_for_lock=False):
            return []
        return [Work((BUSY,), partial(self._wait_for, job))]

    def _wait_for(self, job: Job) -> None:
        self._run(job, wait_for_lock=True)

    def _room(self, left: int) -> int:
        """How many things may go on at once, of ``left`` that are known."""
        settings = self.plan.settings
        room = settings.jobs if self._left > 0 else settings.jobs_at_once(left)
        fit = self.plan.runs_that_fit() if settings.fitted and self._left == 0 else None
        return room if fit is None else min(room, fit)

    def _side_by_side(self, items: Sequence[Work], at_once: int | None) -> None:
        """Do all of it, so many at a time; None for as many as there is room for."""
        room = self._room if at_once is None else lambda left: at_once
        side_by_side(
            lambda work: work.do(), items, room, rank=lambda work: work.rank, tick=self._tick, stop=self.stop.set
        )

    def _tick(self) -> None:
        self.display.tick()
        self.executor.tick()

    def _fail(self, code: ExitCode) -> None:
        self.exit_code = max(self.exit_code, code)

    def _verify(self, entry: Entry, *, record_failure: bool) -> None:
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
                if record_failure:
                    with self._costing_this_run_only(job):
                        self._finish_failed(job, failure, verified.done, now(), verified.log)

    def _run_floor(self, job: Job) -> None:
        """Score real images. If that fails it is said, and the runs go on without a floor beside them."""
        with self._costing_this_run_only(job), locked(job.path.with_suffix(".lock")):
            if read_existing(job.path, job.identity, self.display.message) is not None and job.earlier is None:
                return  # another command did it
            started_at, settings = now(), self.plan.settings
            # With all cores where nothing else goes on: every run compares with the features that this leaves.
            alone = settings.jobs == 1 or not self.plan.entries
            spec = job.spec(settings).model_copy(update={"threads": usable_cores() if alone else settings.threads})
            self.display.started(job)
            assignment = Assignment(spec, ("floor",), UNLIMITED)
            done = self.executor.run(assignment, lambda event: self.display.progress(job, event), self.stop)
            if done.failure is None:
                self._finish(job, record_floor(job, started_at, done), State.DONE)
            else:
                self.display.message(f"✗ {job.label}: {done.failure.reason}; log: {spec.work / LOG}")

    def _run(self, job: Job, *, wait_for_lock: bool) -> bool:
        """Run one job to its record; False if another command holds it and we are not to wait."""
        lock, seconds = job.path.with_suffix(".lock"), LOCK_POLL_SECONDS if wait_for_lock else 0
        with self._costing_this_run_only(job):
            while not self.stop.is_set():
                try:
                    with locked(lock, seconds=seconds):
                        self._run_locked(job)
                        return True
                except InUse:
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
        note_asked(job.folder, job.asked(settings))
        self._note_beginning(job, verification, started_at)
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

    def _note_beginning(self, job: Job, verification: Verification, started_at: str) -> None:
        """Leave beside a generator's samples what a record of them needs, wherever they will be scored."""
        path, settings = job.folder / WORK / BEGUN, self.plan.settings
        if not job.generates or (job.folder / WORK / "evaluate" / REPORT["evaluate"]).exists():
            return  # they were made under what is noted already
        begun = Begun(
            verification=verification,
            jobs_side_by_side=settings.jobs,
            walls=asdict(settings.walls),
            started_at=started_at,
        )
        write_bytes(path, begun.model_dump_json(indent=1).encode())

    def _finish_failed(
        self, job: Job, failure: Failure, done: Done, started_at: str, log: str | None = None
    ) -> None:
        self._fail(exit_code_of(failure.status))
        with contextlib.suppress(OSError):  # the record matters more
            note_asked(job.folder, job.asked(self.plan.settings))
        record = record_failure(job, self.plan.settings, failure, started_at, done, log)
        self._finish(job, record, State.FAILED)

    def _finish(self, job: Job, record: Record, state: State) -> None:
        job.state, job.earlier = state, record
        self.display.finished(job, record)
