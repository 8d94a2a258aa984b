"""The runner: it verifies the entries of a plan and runs its jobs in parallel. A failed job stops no other."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from bench.contract.invocation import write_invocation
from bench.contract.jobs.files import REPORT, RUN_CONTEXT, WORK
from bench.contract.jobs.reports import Failure, Problem, RunContext, Verification, read_report
from bench.contract.jobs.spec import JobSpec
from bench.contract.records.record import Record, Status
from bench.errors import BenchError, ExitCode, ResultsError
from bench.files import write_bytes
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.executor import UNLIMITED, Executor, JobRequest, JobResult, LocalExecutor, failure_of
from bench.harness.executors.limits import Limits
from bench.harness.executors.local import LOG, PhaseEnvironment, Stopped, read_log
from bench.harness.executors.sandbox import Sandbox
from bench.harness.planning.devices import usable_cores
from bench.harness.planning.plan import Entry, Job, Plan, State
from bench.harness.planning.planner import read_existing
from bench.harness.progress.base import Display
from bench.harness.results.recording import now, record_failure, record_real_images, record_success
from bench.locks import InUse, locked

LOCK_POLL_SECONDS = 1.0
VERIFY_SECONDS = 1800.0  # timeout: a verification takes seconds, with a slow sampler some minutes


@dataclass(frozen=True)
class WorkItem:
    """A unit of work, which may return further work items."""

    rank: tuple[int, ...]  # the waiting item with the smallest rank starts first
    do: Callable[[], "list[WorkItem] | None"]


# First number of a rank: verifications start before runs, and jobs locked by another command come last.
VERIFYING, REAL_IMAGES_FIRST, RUN, LOCKED_ELSEWHERE = range(4)


def check_writable(results: Path) -> None:
    """Check, before any work, that records can be written.

    Raises:
        ResultsError: If the folder is not writable; the message names it and the system's reason.
    """
    probe = results / "runs" / ".writable"
    try:
        write_bytes(probe, b"")
        probe.unlink(missing_ok=True)  # another command may have removed it already
    except OSError as error:
        raise ResultsError(f"{results}: cannot be written ({error.strerror}); choose another --results") from None


@dataclass(frozen=True)
class VerificationResult:
    """The outcome of a verification."""

    verification: Verification
    result: JobResult
    log: str  # the submission's output, and the traceback if it raised


def verify_in_process(
    executor: Executor, spec: JobSpec, stop: threading.Event, sandbox: Sandbox
) -> VerificationResult:
    """Verify one (submission, variant) in a separate process.

    If the process fails, the verification has no cost and one problem.

    Raises:
        Stopped: If ``stop`` was set during the verification.
    """
    with tempfile.TemporaryDirectory(prefix="capbench-verify-") as folder:
        spec = spec.model_copy(update={"work": Path(folder)})
        phase_environment = PhaseEnvironment(Limits(VERIFY_SECONDS, spec.memory_bytes), sandbox)
        result = executor.run(JobRequest(spec, ("verify",), phase_environment), lambda event: None, stop)
        log = read_log(spec.work)
        if result.failure is None:
            verification = read_report(spec.work / "verify" / REPORT["verify"], Verification)
            return VerificationResult(_with_concurrency(verification, result.concurrent_phases), result, log)
    problem = Problem(status=result.failure.status, message=result.failure.reason)
    verification = Verification(config={}, cost=None, problems=[problem], environment=result.environment)
    return VerificationResult(verification, result, log)


def _with_concurrency(verification: Verification, concurrent: int) -> Verification:
    """Store in each measured speed how many other phases shared the machine during the measurement."""
    rates = {name: getattr(verification, name) for name in ("training_steps_per_s", "inference_images_per_s")}
    measured = {name: rate for name, rate in rates.items() if rate is not None}
    return verification.model_copy(
        update={name: rate.model_copy(update={"concurrent_runs": concurrent}) for name, rate in measured.items()}
    )


def _collect(runs: list[WorkItem], do: Callable[[], list[WorkItem] | None]) -> None:
    """Do a work item, and append its further items to ``runs`` instead of starting them."""
    runs += do() or []


def exit_code_of(status: Status) -> ExitCode:
    """Return the exit code of a failed run: 4 for an exceeded cap or a contract violation, 3 for all else."""
    return ExitCode.CONTRACT if status in ("cap", "contract") else ExitCode.RUN_FAILED


class Runner:
    """An object that executes one plan. It writes all records, in the parent process."""

    def __init__(self, plan: Plan, display: Display, executor: Executor | None = None) -> None:
        self.plan = plan
        self.display = display
        self.stop = threading.Event()
        self.executor = executor or LocalExecutor(plan.config.device, plan.config.side_by_side)
        self.exit_code = ExitCode.OK
        self._compiled: Path | None = None  # code compiled by torch, shared by the runs of an entry
        self._unverified = 0  # entries that are not verified yet
        self._unverified_lock = threading.Lock()

    def verify(self) -> None:
        """Verify every entry that has jobs to do, without running them or writing records."""
        entries, config = self._to_verify(), self.plan.config
        at_once = 1 if config.measures_speed_alone else config.side_by_side
        verify = partial(self._verify, record_failure=False)
        self._side_by_side([WorkItem((i,), partial(verify, entry)) for i, entry in enumerate(entries)], at_once)
        self.display.estimated(self.plan)

    def run(self) -> None:
        """Verify all entries and run their jobs. If an entry fails, write its records at once and continue.

        Verifications start before runs, so that faults show early. A run whose entry is verified starts as soon as
        a slot is free; it waits for the other verifications only if speeds are measured alone.
        """
        config = self.plan.config
        if config.compile == "off" or config.is_remote:
            self._verify_and_run()
            return
        with tempfile.TemporaryDirectory(prefix="capbench-compiled-", ignore_cleanup_errors=True) as folder:
            self._compiled = Path(folder)
            self._verify_and_run()

    def _verify_and_run(self) -> None:
        entries, config = self._to_verify(), self.plan.config
        verifying = [
            WorkItem((VERIFYING, i), partial(self._verify_to_run, i, entry)) for i, entry in enumerate(entries)
        ]
        self._unverified = len(entries)
        if config.measures_speed_alone:
            runs: list[WorkItem] = []
            self._side_by_side([replace(work, do=partial(_collect, runs, work.do)) for work in verifying], 1)
            self._side_by_side([*self._real_images_work(), *runs], None)
        else:
            self._side_by_side([*verifying, *self._real_images_work()], None)

    def score_real_images(self) -> None:
        """Score the plan's real images only."""
        self._side_by_side(self._real_images_work(), 1)

    def _real_images_work(self) -> list[WorkItem]:
        return [
            WorkItem((REAL_IMAGES_FIRST, i), partial(self._score_real_images, job))
            for i, job in enumerate(self.plan.real_images)
        ]

    def _to_verify(self) -> list[Entry]:
        return [entry for entry in self.plan.entries if any(job.state is State.TO_DO for job in entry.jobs)]

    def _verify_to_run(self, position: int, entry: Entry) -> list[WorkItem]:
        """Verify the entry at ``position`` in the plan. Return work items for its jobs to do."""
        self._verify(entry, record_failure=True)
        with self._unverified_lock:
            self._unverified -= 1
            if self._unverified == 0 and not self.stop.is_set():
                self.display.estimated(self.plan)
        if entry.verification is None:
            return []
        to_do = [job for job in entry.jobs if job.state is State.TO_DO]
        return [WorkItem((RUN, position, i), partial(self._run_or_defer, job)) for i, job in enumerate(to_do)]

    def _run_or_defer(self, job: Job) -> list[WorkItem]:
        """Run a job. If another command is running it, defer waiting for it until the other jobs have started."""
        if self._run(job, wait_for_lock=False):
            return []
        return [WorkItem((LOCKED_ELSEWHERE,), partial(self._wait_for, job))]

    def _wait_for(self, job: Job) -> None:
        self._run(job, wait_for_lock=True)

    def _slots(self, unfinished: int) -> int:
        """Return how many work items may run at once, of ``unfinished`` known ones."""
        config = self.plan.config
        slots = config.side_by_side if self._unverified > 0 else config.jobs_at_once(unfinished)
        fit = self.plan.runs_that_fit() if config.limits_jobs_to_gpu and self._unverified == 0 else None
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

    def _fail(self, code: ExitCode) -> None:
        self.exit_code = max(self.exit_code, code)

    def _verify(self, entry: Entry, *, record_failure: bool) -> None:
        config = self.plan.config
        try:
            verified = verify_in_process(
                self.executor, entry.jobs[0].spec(config, self._compiled), self.stop, config.confinement
            )
        except Stopped:
            return
        entry.verification = verified.verification
        self.display.verified(entry)
        if not verified.verification.problems:
            return
        problem = verified.verification.problems[0]
        failure = Failure(status=problem.status, reason=problem.message)
        for job in entry.jobs:
            if job.state is State.TO_DO:
                job.state = State.FAILED
                self._fail(exit_code_of(failure.status))
                if record_failure:
                    with self._contain_errors(job):
                        self._finish_failed(job, failure, verified.result, now(), verified.log)

    def _score_real_images(self, job: Job) -> None:
        """Score real images. If that fails, show a message and continue with the runs."""
        with self._contain_errors(job), locked(job.path.with_suffix(".lock")):
            if read_existing(job.path, job.identity, self.display.message) is not None and job.earlier is None:
                return  # another command scored them
            started_at, config = now(), self.plan.config
            # With all cores if nothing else runs yet: every run compares with the features that this caches.
            alone = config.side_by_side == 1 or not self.plan.entries
            spec = job.spec(config, self._compiled).model_copy(
                update={"threads": usable_cores() if alone else config.threads_per_run}
            )
            self.display.started(job)
            request = JobRequest(spec, ("score_real",), UNLIMITED)
            result = self.executor.run(request, lambda event: self.display.progress(job, event), self.stop)
            if result.failure is None:
                self._finish(job, record_real_images(job, started_at, result), State.DONE)
            else:
                self.display.message(f"✗ {job.label}: {result.failure.reason}; log: {spec.work / LOG}")

    def _run(self, job: Job, *, wait_for_lock: bool) -> bool:
        """Run one job to its record. Without ``wait_for_lock``, return False if another command has locked it."""
        lock, seconds = job.path.with_suffix(".lock"), LOCK_POLL_SECONDS if wait_for_lock else 0
        with self._contain_errors(job):
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
    def _contain_errors(self, job: Job) -> Iterator[None]:
        """Report an error of this job, such as a full disk or a missing folder, and let other jobs continue."""
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
            # Another command ran the job while this one waited.
            if current.status != "ok":
                self._fail(exit_code_of(current.status))
            self._finish(job, current, State.DONE if current.status == "ok" else State.FAILED)
            return
        started_at, config, verification = now(), self.plan.config, job.entry.verification
        assert verification is not None
        if config.force:
            shutil.rmtree(job.folder / WORK, ignore_errors=True)  # repeat the run from its first step
        request = JobRequest(job.spec(config, self._compiled), job.phases, job.phase_environment(config))
        write_invocation(job.folder, job.invocation(config))
        self._write_run_context(job, verification, started_at)
        self.display.started(job)
        result = self.executor.run(request, lambda event: self.display.progress(job, event), self.stop)
        if result.failure is not None:
            self._finish_failed(job, result.failure, result, started_at)
            return
        try:
            record = record_success(job, verification, config, started_at, result)
        except ResultsError:
            raise
        except BenchError as error:
            self._finish_failed(job, failure_of(error), result, started_at)
            return
        self._finish(job, record, State.DONE)

    def _write_run_context(self, job: Job, verification: Verification, started_at: str) -> None:
        """Save what a generator's record needs besides its samples, which may be scored on another machine."""
        path, config = job.folder / WORK / RUN_CONTEXT, self.plan.config
        if not job.generates or (job.folder / WORK / "evaluate" / REPORT["evaluate"]).exists():
            return  # the samples exist, and so does their context
        context = RunContext(
            verification=verification,
            jobs_side_by_side=config.side_by_side,
            sandbox=asdict(config.confinement),
            started_at=started_at,
        )
        write_bytes(path, context.model_dump_json(indent=1).encode())

    def _finish_failed(
        self, job: Job, failure: Failure, result: JobResult, started_at: str, log: str | None = None
    ) -> None:
        """Write the record of a failed job."""
        self._fail(exit_code_of(failure.status))
        with contextlib.suppress(OSError):  # a missing file must not prevent the record
            write_invocation(job.folder, job.invocation(self.plan.config))
        record = record_failure(job, self.plan.config, failure, started_at, result, log)
        self._finish(job, record, State.FAILED)

    def _finish(self, job: Job, record: Record, state: State) -> None:
        job.state, job.earlier = state, record
        self.display.finished(job, record)
