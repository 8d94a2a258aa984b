"""Executor for a SLURM cluster, through submitit: each capbench job is one SLURM job.

All nodes must see the same files under the same paths (results, data, weights, and capbench's installation), as is
usual on SLURM clusters, so no files are sent. Set partition, account, time and memory with SLURM's own ``SBATCH_``
environment variables. A job whose node dies, or whose time limit ends, is queued again and resumes from its
checkpoint.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError
from submitit.helpers import DelayedSubmission

from bench.contract.jobs.reports import Failure, Progress
from bench.contract.jobs.spec import JobSpec
from bench.errors import UsageError
from bench.files import write_bytes
from bench.harness.executors.executor import JobRequest, JobResult
from bench.harness.executors.local import OnProgress, Stopped
from bench.harness.executors.remote.base import NodeOptions, run_on_node
from bench.harness.executors.sandbox import NO_SANDBOX
from bench.measure.machine.environment import capture_machine

SLOTS = 64  # default of --jobs: jobs queued or running at once; SLURM chooses which of them run
MINUTES = 240  # default time limit of a job, without $SBATCH_TIMELIMIT; after it the job is queued again
MAX_TIMEOUTS = 100  # how often a job may reach its time limit and be queued again
POLL_SECONDS = 0.5
QUEUE_SECONDS = 5.0  # between two calls of squeue
SIGNAL_SECONDS = 2.0  # within which a signal reaches all processes of a job
LOST_SECONDS = 30.0  # after which a job counts as lost: not queued, not running, and no result
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
PREEMPTED = "SLURM stopped the job before its end; checkpoints are kept"
FOLDER, JOB, STATUS = "slurm", "job", "status.json"


@dataclass(frozen=True)
class SlurmTask:
    """The callable that SLURM runs on a node, through submitit."""

    spec: JobSpec
    options: NodeOptions

    def __call__(self) -> JobResult:
        """Run the phases, and write their progress to a status file in the work folder.

        Raises:
            SystemExit: If SLURM stops the job before its end. It then leaves no result and can be queued again.
        """
        starts = int(os.environ.get("SLURM_RESTART_COUNT", "0")) + 1
        path, written = self.spec.work / FOLDER / STATUS, 0.0

        def write_status(event: Progress | None) -> None:
            nonlocal written
            if event is None or time.monotonic() - written >= 1:
                written = time.monotonic()
                status = {"begun": starts, "event": None if event is None else event.model_dump_json()}
                write_bytes(path, json.dumps(status).encode())

        write_status(None)
        spec = self.spec.model_copy(update={"memory_bytes": self.spec.memory_bytes or _memory_of_job()})
        preempted = threading.Event()
        signal.signal(signal.SIGTERM, lambda number, frame: preempted.set())
        try:
            result = run_on_node(spec, self.options, _slots(spec), write_status, preempted)
        except Stopped:
            raise SystemExit(PREEMPTED) from None
        # SLURM signals all processes of a job, so the phase may have ended before this process was signalled.
        if result.failure is not None and result.failure.status == "signal" and preempted.wait(SIGNAL_SECONDS):
            raise SystemExit(PREEMPTED)
        return result

    def checkpoint(self) -> DelayedSubmission:
        """Return the task to queue again, resuming from its checkpoint. submitit calls this at the time limit."""
        return DelayedSubmission(self)


def _slots(spec: JobSpec) -> int:
    """Return how many such jobs fit on the node: by cores on a CPU, one on a GPU."""
    return 1 if spec.device != "cpu" else max(1, (psutil.cpu_count() or 1) // spec.threads)


def _memory_of_job() -> int | None:
    """Return 90 % of the job's memory limit in bytes (10 % is for the harness); None if SLURM sets no limit."""
    per_node, per_core = os.environ.get("SLURM_MEM_PER_NODE"), os.environ.get("SLURM_MEM_PER_CPU")
    cores = os.environ.get("SLURM_CPUS_ON_NODE", "1")
    megabytes = int(per_node) if per_node else int(per_core) * int(cores) if per_core else 0
    return int(megabytes * 1024**2 * 0.9) or None


@dataclass
class SlurmQueue:
    """SLURM's queue of this user's jobs, cached for ``QUEUE_SECONDS`` for all callers."""

    _alive: set[str] | None = None  # job ids; None while squeue fails
    _read_time: float = -1e9
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invalidate(self) -> None:
        """Discard the cached queue, because a job was just changed."""
        with self._lock:
            self._read_time = -1e9

    def holds(self, job_id: str) -> bool:
        """Return whether a job is queued or running; also True while squeue fails."""
        with self._lock:
            if time.monotonic() - self._read_time >= QUEUE_SECONDS:
                command = ["squeue", "--me", "--states=all", "--noheader", "--format=%A %T"]
                answer = subprocess.run(command, capture_output=True, text=True, check=False)
                rows = [line.split() for line in answer.stdout.splitlines() if line.strip()]
                self._alive = {row[0] for row in rows if row[1] not in ENDED} if not answer.returncode else None
                self._read_time = time.monotonic()
            return self._alive is None or job_id in self._alive


class SlurmExecutor:
    """An executor that runs each job's phases as a SLURM job, submitted from this machine."""

    def __init__(self, *, sandbox: str = "auto") -> None:
        """Check that jobs can be submitted from this machine.

        Args:
            sandbox: Passed to ``choose_sandbox`` on each node.

        Raises:
            UsageError: If a SLURM command is missing.
        """
        if any(shutil.which(name) is None for name in ("sbatch", "srun", "squeue", "scancel")):
            raise UsageError(
                "--executor slurm: no `sbatch` on this machine; run the command on a SLURM cluster's login node"
            )
        logging.getLogger("submitit").setLevel(logging.CRITICAL)  # it logs a warning for each failing sacct
        self.on_retry: Callable[[str], None] = lambda message: None
        self._sandbox = sandbox
        self._queue = SlurmQueue()
        self._environment = capture_machine()
        self._listeners: dict[Path, OnProgress] = {}
        self._statuses: dict[Path, dict[str, Any]] = {}  # the last status read, per job folder

    def slots(self, device: str) -> int:
        """Return how many runs to queue at once, see ``Cluster.slots``."""
        del device
        return SLOTS

    def device(self, wanted: str) -> str:
        """Resolve ``auto``, see ``Cluster.device``."""
        if wanted != "auto":
            return wanted
        answer = subprocess.run(
            ["sinfo", "--noheader", "--format=%G"], capture_output=True, text=True, check=False
        )
        return "cuda" if "gpu" in answer.stdout else "cpu"

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        """Run the phases once SLURM starts the job, see ``Executor.run``."""
        spec = request.spec
        spec = spec.model_copy(update={"work": spec.work.resolve(), "folder": spec.folder.resolve()})
        folder = spec.work / FOLDER
        self._cancel_earlier(folder)
        options = NodeOptions(
            request.phases, request.phase_environment.limits, self._sandbox, self._environment["repository"]
        )
        try:
            job = _submit(SlurmTask(spec, options), folder)
        except FailedSubmissionError as error:
            return self._failed(f"the job could not be submitted to SLURM: {' '.join(str(error).split())[:300]}")
        (folder / JOB).write_text(job.job_id)
        self._listeners[folder] = on_progress
        try:
            return self._wait(job, stop)
        finally:
            self._listeners.pop(folder, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _wait(self, job: "submitit.Job[JobResult]", stop: threading.Event) -> JobResult:
        """Wait for a job's result. Cancel the job if ``stop`` is set; fail if it disappears from the queue."""
        alive = time.monotonic()
        while not job.paths.result_pickle.exists():
            if stop.wait(POLL_SECONDS):
                self._cancel(job.job_id)
                raise Stopped
            if self._queue.holds(job.job_id):
                alive = time.monotonic()
            elif time.monotonic() - alive > LOST_SECONDS:
                output = " ".join((job.stderr() or "").split())[-300:]
                return self._failed(
                    f"SLURM job {job.job_id} ended without a result: {output or 'nothing on stderr'}"
                )
        try:
            return job.result()
        except (FailedJobError, UncompletedJobError) as error:
            return self._failed(f"SLURM job {job.job_id} failed: {' '.join(str(error).split())[-300:]}")

    def _failed(self, reason: str) -> JobResult:
        return JobResult(Failure(status="error", reason=reason), self._environment, 1, NO_SANDBOX)

    def _cancel_earlier(self, folder: Path) -> None:
        """Cancel a job that a killed command left in the queue: two jobs must not use the same work folder."""
        if (folder / JOB).exists():
            self._cancel((folder / JOB).read_text())
        shutil.rmtree(folder, ignore_errors=True)

    def _cancel(self, job_id: str) -> None:
        """Cancel a job and wait until it has left the queue."""
        subprocess.run(["scancel", job_id], capture_output=True, check=False)
        deadline = time.monotonic() + LOST_SECONDS + QUEUE_SECONDS
        self._queue.invalidate()
        while self._queue.holds(job_id) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def tick(self) -> None:
        """Forward the runs' progress, and report runs that were queued again."""
        for folder, listener in list(self._listeners.items()):
            try:
                status = json.loads((folder / STATUS).read_bytes())
            except (OSError, ValueError):
                continue  # the job has not started, or a shared file system does not show the file yet
            previous = self._statuses.get(folder, {"begun": 1, "event": None})
            if status["begun"] > previous["begun"]:
                self.on_retry(f"{folder.parent.parent.name}: queued again by SLURM; resumes from its checkpoint")
            if status["event"] not in (None, previous["event"]):
                listener(Progress.model_validate_json(status["event"]))
            self._statuses[folder] = status

    def close(self) -> None:
        """Do nothing: this executor holds no resources."""


def _submit(task: SlurmTask, folder: Path) -> "submitit.Job[JobResult]":
    """Submit a task to SLURM."""
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=MAX_TIMEOUTS)
    spec = task.spec
    gpus = {} if spec.device == "cpu" else {"gpus_per_node": 1}
    name = f"{spec.submission}/{spec.variant} seed {spec.seed}"
    executor.update_parameters(job_name=name, time=MINUTES, cpus_per_task=spec.threads, **gpus)
    job: submitit.Job[JobResult] = executor.submit(task)
    return job
