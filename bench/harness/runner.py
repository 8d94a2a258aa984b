"""The runner: it verifies the entries of a plan and runs its jobs in parallel. A failure stops no other job."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.contract.invocation import write_invocation
from bench.contract.jobs.files import REPORT, RUN_CONTEXT, WORK
from bench.contract.jobs.reports import Failure, RunContext
from bench.contract.records.origin import forget_origin
from bench.contract.records.record import Record, Status
from bench.errors import BenchError, ExitCode, ResultsError
from bench.files import write_bytes
from bench.harness.execution_state import ExecutionState
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.executor import UNLIMITED, Executor, JobRequest, JobResult, LocalExecutor, failure_of
from bench.harness.executors.local import LOG, Stopped
from bench.harness.executors.turns import Turns
from bench.harness.planning.devices import usable_cores
from bench.harness.planning.plan import Entry, Job, Plan
from bench.harness.planning.planner import read_existing
from bench.harness.progress.base import Display
from bench.harness.results.recording import Attempt, now, record_failure, record_real_images, record_success
from bench.harness.verification import verify_in_process
from bench.locks import InUse, locked

LOCK_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class WorkItem:
    """A unit of work, which may return further work items."""

    rank: tuple[int, ...]  # the waiting item with the smallest rank starts first
    do: Callable[[], "list[WorkItem] | None"]


# First number of a rank: verifications start before runs, and jobs locked by another command come last.
VERIFYING, REAL_IMAGES_FIRST, RUN, LOCKED_ELSEWHERE = range(4)


def exit_code_of(status: Status) -> ExitCode:
    """Return the exit code of a failed run: 4 for an exceeded cap or a contract violation, 3 for all else."""
    return ExitCode.CONTRACT if status in ("cap", "contract") else ExitCode.RUN_FAILED


class Runner:
    """An object that executes one plan. All records are written here, in the parent process."""

    def __init__(self, plan: Plan, display: Display, executor: Executor | None = None) -> None:
        self.plan = plan
        self.display = display
        self.stop = threading.Event()
        self.state = ExecutionState(plan)
        self.executor = executor or LocalExecutor(plan.config.device, plan.config.side_by_side)
        self.exit_code = ExitCode.OK
        self._lock = threading.Lock()  # of the exit code and the number of unverified entries
        self._compile_cache: Path | None = None  # code compiled by torch, shared by the runs of an entry
        self._turns = Turns(self.stop) if plan.config.measures_speed_alone and not plan.config.is_remote else None
        self._unverified = 0  # entries that are not verified yet

    def verify(self) -> None:
        """Verify every entry that has jobs to do, without running them or writing records."""
        entries = self._to_verify()
        self._unverified = len(entries)
        self._verify_all(entries, record_failure=False)

    def run(self) -> None:
        """Verify the entries that have jobs to do, and run these jobs. Record the failure of an entry at once.

        Verifications start before runs, so that faults show early. A run whose entry is verified starts as soon as
        a slot is free; it waits for the other verifications only if speeds are measured alone.
        """
        config = self.plan.config
        if config.compile == "off" or config.is_remote:
            self._verify_and_run()
            return
        with tempfile.TemporaryDirectory(prefix="capbench-compiled-", ignore_cleanup_errors=True) as folder:
            self._compile_cache = Path(folder)
            self._verify_and_run()

    def _verify_and_run(self) -> None:
        entries = self._to_verify()
        self._unverified = len(entries)
        verify = partial(self._verify, record_failure=True)
        if self.plan.config.measures_speed_alone:
            self._verify_all(entries, record_failure=True)
            runs = [work for i, entry in enumerate(entries) for work in self._runs_of(i, entry)]
            self._side_by_side([*self._real_images_work(), *runs], None)
            return

        def verify_and_continue(position: int, entry: Entry) -> list[WorkItem]:
            verify(entry)
            return self._runs_of(position, entry)

        verifying = [
            WorkItem((VERIFYING, i), partial(verify_and_continue, i, entry)) for i, entry in enumerate(entries)
        ]
        self._side_by_side([*verifying, *self._real_images_work()], None)

    def _verify_all(self, entries: list[Entry], *, record_failure: bool) -> None:
        """Verify all entries, several in parallel, and return when all are verified."""
        verify = partial(self._verify, record_failure=record_failure)
        at_once = self.plan.config.side_by_side
        self._side_by_side([WorkItem((i,), partial(verify, entry)) for i, entry in enumerate(entries)], at_once)

    def score_real_images(self) -> None:
        """Score the plan's real images only."""
        self._side_by_side(self._real_images_work(), 1)

    def _real_images_work(self) -> list[WorkItem]:
        return [
            WorkItem((REAL_IMAGES_FIRST, i), partial(self._score_real_images, job))
            for i, job in enumerate(self.plan.real_images)
        ]

    def _to_verify(self) -> list[Entry]:
        return list(dict.fromkeys(job.entry for job in self.state.to_do()))

    def _show_estimate(self) -> None:
        runs = len(self.state.to_do())
        if runs > 0:  # otherwise every verification failed
            self.display.estimated(runs, self.state.estimate_seconds())

    def _runs_of(self, position: int, entry: Entry) -> list[WorkItem]:
        """Return work items for the jobs of the entry at ``position`` in the plan; none if it is not verified."""
        if entry not in self.state.verifications:
            return []
        jobs = self.state.to_do(entry)
        return [WorkItem((RUN, position, i), partial(self._run_or_defer, job)) for i, job in enumerate(jobs)]

    def _run_or_defer(self, job: Job) -> list[WorkItem]:
        """Run a job. If another command is running it, defer waiting for it until the other jobs have started."""
        with self._contain_errors(job.label):
            try:
                with locked(job.lock, seconds=0):
                    self._run_locked(job)
            except InUse:
                return [WorkItem((LOCKED_ELSEWHERE,), partial(self._wait_and_run, job))]
        return []

    def _wait_and_run(self, job: Job) -> None:
        """Run a job once another command has unlocked it."""
        with self._contain_errors(job.label), self._unlocked_elsewhere(job):
            self._run_locked(job)

    @contextmanager
    def _unlocked_elsewhere(self, job: Job) -> Iterator[None]:
        """Hold a job's lock during the block, after other commands have released it.

        Raises:
            Stopped: If the command is stopped while it waits.
        """
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(locked(job.lock, seconds=LOCK_POLL_SECONDS))
                except InUse:
                    if self.stop.is_set():
                        raise Stopped from None
                    continue
                yield
                return

    def _slots(self, unfinished: int) -> int:
        """Return how many work items may run at once, of ``unfinished`` known ones."""
        config = self.plan.config
        slots = config.side_by_side if self._unverified > 0 else config.jobs_at_once(unfinished)
        fit = self.state.runs_that_fit() if self._unverified == 0 else None
        return slots if fit is None else min(slots, fit)

    def _side_by_side(self, items: Sequence[WorkItem], at_once: int | None) -> None:
        """Do all work items, ``at_once`` in parallel; None for as many as the settings allow."""
        slots = self._slots if at_once is None else lambda unfinished: at_once
        side_by_side(
            lambda work: work.do(), items, slots, rank=lambda work: work.rank, tick=self._tick, stop=self.stop.set
        )

    def _tick(self) -> None:
        self.display.tick()
        self.executor.tick()
        for line in () if self._turns is None else self._turns.long_ones():
            self.display.message(line)

    def _fail(self, code: ExitCode) -> None:
        with self._lock:
            self.exit_code = max(self.exit_code, code)

    def _verify(self, entry: Entry, *, record_failure: bool) -> None:
        """Verify an entry. If it fails, its jobs are finished, with ``record_failure`` with a record each."""
        try:
            with self._contain_errors(entry.label):
                self._verify_or_raise(entry, record_failure)
        finally:
            with self._lock:
                self._unverified -= 1
                last = self._unverified == 0
            if last and not self.stop.is_set():
                self._show_estimate()

    def _verify_or_raise(self, entry: Entry, record_failure: bool) -> None:
        config, jobs = self.plan.config, self.state.to_do(entry)
        spec = jobs[0].spec(config, compile_cache=self._compile_cache)
        spec = spec.model_copy(update={"runs_ahead": len(jobs)})
        verified = verify_in_process(
            self.executor,
            spec,
            self.stop,
            config.confinement,
            turns=self._turns,
            timeout_seconds=config.timeout_seconds,
        )
        verification = verified.verification
        self.state.verifications[entry] = verification
        self.display.verified(entry, verification)
        if not verification.problems:
            return
        problem = verification.problems[0]
        failure = Failure(status=problem.status, reason=problem.message)
        for job in jobs:
            self.state.finished.add(job)
            self._fail(exit_code_of(failure.status))
            if record_failure:
                with self._contain_errors(job.label):
                    self._finish_failed(self._begin_attempt(job), failure, verified.result, verified.log)

    def _score_real_images(self, job: Job) -> None:
        """Score real images. If that fails, show a message and continue with the runs."""
        with self._contain_errors(job.label), self._unlocked_elsewhere(job):
            if read_existing(job.path, job.identity, self.display.message) is not None and job.earlier is None:
                return  # another command scored them
            attempt, config = self._begin_attempt(job), self.plan.config
            # With all cores if nothing else runs yet: every run compares with the features that this caches.
            alone = config.side_by_side == 1 or not self.plan.entries
            threads = usable_cores() if alone else config.threads_per_run
            spec = job.spec(config).model_copy(update={"threads": threads})
            self.display.started(job)
            request = JobRequest(spec, ("score_real",), UNLIMITED)
            result = self.executor.run(request, lambda event: self.display.progress(job, event), self.stop)
            if result.failure is None:
                self._finish(job, record_real_images(attempt, result))
            else:
                self.display.problem(f"{job.label}: {result.failure.reason}; log: {spec.work / LOG}")

    @contextmanager
    def _contain_errors(self, label: str) -> Iterator[None]:
        """Report an error of one job or entry, such as a full disk, and let the others continue."""
        try:
            yield
        except Stopped:
            pass
        except (BenchError, OSError) as error:
            self._fail(getattr(error, "exit_code", ExitCode.RUN_FAILED))
            self.display.problem(f"{label}: {error}")

    def _run_locked(self, job: Job) -> None:
        current = read_existing(job.path, job.identity, self.display.message)
        if current is not None and (job.earlier is None or current.checksum != job.earlier.checksum):
            # Another command ran the job while this one waited.
            if current.status != "ok":
                self._fail(exit_code_of(current.status))
            self._finish(job, current)
            return
        attempt, config = self._begin_attempt(job), self.plan.config
        if config.force:
            shutil.rmtree(job.folder / WORK, ignore_errors=True)  # repeat the run from its first step
        spec = job.spec(config, attempt.verification, self._compile_cache)
        request = JobRequest(spec, job.phases, job.phase_environment(config, attempt.verification))
        write_invocation(job.folder, job.invocation(config))
        self._write_run_context(attempt)
        self.display.started(job)
        result = self.executor.run(request, lambda event: self.display.progress(job, event), self.stop)
        if result.failure is not None:
            self._finish_failed(attempt, result.failure, result)
            return
        try:
            record = record_success(attempt, result)
        except ResultsError:
            raise
        except BenchError as error:
            self._finish_failed(attempt, failure_of(error), result)
            return
        if config.force:
            forget_origin(job.path)  # every step was taken here, also if an earlier attempt began elsewhere
        self._finish(job, record)

    def _begin_attempt(self, job: Job) -> Attempt:
        return Attempt(job, self.plan.config, self.state.verifications.get(job.entry), now())

    def _write_run_context(self, attempt: Attempt) -> None:
        """Save what a generator's record needs besides its samples, which may be scored on another machine."""
        job, config = attempt.job, self.plan.config
        if not job.generates or (job.folder / WORK / "evaluate" / REPORT["evaluate"]).exists():
            return  # the samples exist, and so does their context
        assert attempt.verification is not None
        context = RunContext(
            verification=attempt.verification,
            jobs_side_by_side=config.side_by_side,
            sandbox=asdict(config.confinement),
            started_at=attempt.started_at,
        )
        write_bytes(job.folder / WORK / RUN_CONTEXT, context.model_dump_json(indent=1).encode())

    def _finish_failed(
        self, attempt: Attempt, failure: Failure, result: JobResult, log: str | None = None
    ) -> None:
        """Write the record of a failed attempt."""
        job = attempt.job
        self._fail(exit_code_of(failure.status))
        with contextlib.suppress(OSError):  # a missing file must not prevent the record
            write_invocation(job.folder, job.invocation(self.plan.config))
        self._finish(job, record_failure(attempt, failure, result, log))

    def _finish(self, job: Job, record: Record) -> None:
        self.state.finished.add(job)
        self.display.finished(job, record)
