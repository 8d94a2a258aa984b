"""Phases as jobs of a SLURM cluster, through submitit: each job of ours one of SLURM's.

Nodes see the same files under the same paths (results, data, weights, and where capbench is installed), as SLURM
clusters have it, so nothing is sent. Partition, account, time and memory are given to SLURM itself, by the
``SBATCH_`` variables of its manual. A job whose node dies, or whose time is over, is queued again and goes on from
its checkpoint.
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

from bench.contract.jobs import Failure, JobSpec, Progress
from bench.errors import UsageError
from bench.files import write_bytes
from bench.measure.environment import capture_machine
from bench.run.executors.cluster import Orders, run_on_node
from bench.run.executors.executor import Assignment, Done
from bench.run.executors.local import OnProgress, Stopped
from bench.run.executors.sandbox import OPEN

SLOTS = 64  # jobs in the queue or running at once, if --jobs does not say; which of them run is SLURM's to choose
MINUTES = 240  # of one job, if $SBATCH_TIMELIMIT does not say; then it is queued again
TIMES_OVER = 100  # that a job's time may be over
POLL_SECONDS = 0.5
QUEUE_SECONDS = 5.0  # between two looks at SLURM's queue
SIGNAL_SECONDS = 2.0  # within which all processes of a job get a signal
LOST_SECONDS = 30.0  # that a job is neither queued nor running, nor has left a result
OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
WANTED_BACK = "SLURM wants the node back; checkpoints are kept"
FOLDER, JOB, WORD = "slurm", "job", "word.json"


@dataclass(frozen=True)
class Task:
    """What SLURM runs on a node."""

    spec: JobSpec
    orders: Orders

    def __call__(self) -> Done:
        """Run the phases, and leave word of how far they are beside them.

        Raises:
            SystemExit: If SLURM wants the node back: no result is left, so that the job may be queued again.
        """
        begun = int(os.environ.get("SLURM_RESTART_COUNT", "0")) + 1
        path, written = self.spec.work / FOLDER / WORD, 0.0

        def leave_word(event: Progress | None) -> None:
            nonlocal written
            if event is None or time.monotonic() - written >= 1:
                written = time.monotonic()
                word = {"begun": begun, "event": None if event is None else event.model_dump_json()}
                write_bytes(path, json.dumps(word).encode())

        leave_word(None)
        spec = self.spec.model_copy(update={"memory_bytes": self.spec.memory_bytes or _memory_of_job()})
        wanted_back = threading.Event()
        signal.signal(signal.SIGTERM, lambda number, frame: wanted_back.set())
        try:
            done = run_on_node(spec, self.orders, _slots(spec), leave_word, wanted_back)
        except Stopped:
            raise SystemExit(WANTED_BACK) from None
        # The signal goes to all processes of a job, and the phase's may have ended first.
        if done.failure is not None and done.failure.status == "signal" and wanted_back.wait(SIGNAL_SECONDS):
            raise SystemExit(WANTED_BACK)
        return done

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit when the job's time is over: the same again goes on from the checkpoint."""
        return DelayedSubmission(self)


def _slots(spec: JobSpec) -> int:
    """How many jobs like this one fit on the node; on a GPU it is alone."""
    return 1 if spec.device != "cpu" else max(1, (psutil.cpu_count() or 1) // spec.threads)


def _memory_of_job() -> int | None:
    """What SLURM gives the job, in bytes, less a tenth for the harness; None where it does not say."""
    whole, of_core = os.environ.get("SLURM_MEM_PER_NODE"), os.environ.get("SLURM_MEM_PER_CPU")
    cores = os.environ.get("SLURM_CPUS_ON_NODE", "1")
    megabytes = int(whole) if whole else int(of_core) * int(cores) if of_core else 0
    return int(megabytes * 1024**2 * 0.9) or None


@dataclass
class Queue:
    """SLURM's queue of this user's jobs, looked at every few seconds however many ask."""

    _alive: set[str] | None = None  # None while SLURM does not answer
    _looked: float = -1e9
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def grow_old(self) -> None:
        """Have the next question looked up: something was just changed."""
        with self._lock:
            self._looked = -1e9

    def holds(self, job_id: str) -> bool:
        """Whether a job waits or runs, or may."""
        with self._lock:
            if time.monotonic() - self._looked >= QUEUE_SECONDS:
                command = ["squeue", "--me", "--states=all", "--noheader", "--format=%A %T"]
                answer = subprocess.run(command, capture_output=True, text=True, check=False)
                lines = [line.split() for line in answer.stdout.splitlines() if line.strip()]
                self._alive = {line[0] for line in lines if line[1] not in OVER} if not answer.returncode else None
                self._looked = time.monotonic()
            return self._alive is None or job_id in self._alive


class SlurmExecutor:
    """Runs phases as jobs of the SLURM cluster that this machine can submit to."""

    def __init__(self, *, sandbox: str = "auto") -> None:
        """Behind the walls that ``choose_walls`` finds on each node.

        Raises:
            UsageError: If nothing can be submitted from here.
        """
        if any(shutil.which(name) is None for name in ("sbatch", "srun", "squeue", "scancel")):
            raise UsageError(
                "--executor slurm: no `sbatch` here; give the command on a SLURM cluster's login node"
            )
        logging.getLogger("submitit").setLevel(logging.CRITICAL)  # it calls a failing sacct a warning
        self.on_retry: Callable[[str], None] = lambda message: None
        self._sandbox = sandbox
        self._queue = Queue()
        self._environment = capture_machine()
        self._listeners: dict[Path, OnProgress] = {}
        self._heard: dict[Path, dict[str, Any]] = {}

    def slots(self, device: str) -> int:
        """As ``Cluster.slots``."""
        del device
        return SLOTS

    def device(self, wanted: str) -> str:
        """As ``Cluster.device``."""
        if wanted != "auto":
            return wanted
        answer = subprocess.run(
            ["sinfo", "--noheader", "--format=%G"], capture_output=True, text=True, check=False
        )
        return "cuda" if "gpu" in answer.stdout else "cpu"

    def run(self, assignment: Assignment, on_progress: OnProgress, stop: threading.Event) -> Done:
        """As ``Executor.run``, whenever SLURM finds a node for it."""
        given = assignment.spec
        spec = given.model_copy(update={"work": given.work.resolve(), "folder": given.folder.resolve()})
        folder = spec.work / FOLDER
        self._end_earlier(folder)
        orders = Orders(
            assignment.phases, assignment.conditions.limits, self._sandbox, self._environment["repository"]
        )
        try:
            job = _submit(Task(spec, orders), folder)
        except FailedSubmissionError as error:
            return self._failed(f"could not be submitted to SLURM: {' '.join(str(error).split())[:300]}")
        (folder / JOB).write_text(job.job_id)
        self._listeners[folder] = on_progress
        try:
            return self._result(job, stop)
        finally:
            self._listeners.pop(folder, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _result(self, job: "submitit.Job[Done]", stop: threading.Event) -> Done:
        alive = time.monotonic()
        while not job.paths.result_pickle.exists():
            if stop.wait(POLL_SECONDS):
                self._cancel(job.job_id)
                raise Stopped
            if self._queue.holds(job.job_id):
                alive = time.monotonic()
            elif time.monotonic() - alive > LOST_SECONDS:
                said = " ".join((job.stderr() or "").split())[-300:]
                return self._failed(
                    f"SLURM's job {job.job_id} ended without a result: {said or 'it said nothing'}"
                )
        try:
            return job.result()
        except (FailedJobError, UncompletedJobError) as error:
            return self._failed(f"SLURM's job {job.job_id} failed: {' '.join(str(error).split())[-300:]}")

    def _failed(self, reason: str) -> Done:
        return Done(Failure(status="error", reason=reason), self._environment, 1, OPEN)

    def _end_earlier(self, folder: Path) -> None:
        """End what a command that was killed has left in the queue: two must not work in one folder."""
        if (folder / JOB).exists():
            self._cancel((folder / JOB).read_text())
        shutil.rmtree(folder, ignore_errors=True)

    def _cancel(self, job_id: str) -> None:
        """Cancel a job and wait until its processes have ended."""
        subprocess.run(["scancel", job_id], capture_output=True, check=False)
        ends = time.monotonic() + LOST_SECONDS + QUEUE_SECONDS
        self._queue.grow_old()
        while self._queue.holds(job_id) and time.monotonic() < ends:
            time.sleep(POLL_SECONDS)

    def tick(self) -> None:
        """Pass on how far the runs are, and say which were begun again."""
        for folder, listener in list(self._listeners.items()):
            try:
                word = json.loads((folder / WORD).read_bytes())
            except (OSError, ValueError):
                continue  # not begun, or on its way
            before = self._heard.get(folder, {"begun": 1, "event": None})
            if word["begun"] > before["begun"]:
                self.on_retry(f"{folder.parent.parent.name}: it was queued again, and goes on from its checkpoint")
            if word["event"] not in (None, before["event"]):
                listener(Progress.model_validate_json(word["event"]))
            self._heard[folder] = word

    def close(self) -> None:
        """Nothing is held."""


def _submit(task: Task, folder: Path) -> "submitit.Job[Done]":
    """Hand a task to SLURM."""
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=TIMES_OVER)
    spec = task.spec
    gpus = {} if spec.device == "cpu" else {"gpus_per_node": 1}
    name = f"{spec.submission}/{spec.variant} seed {spec.seed}"
    executor.update_parameters(job_name=name, time=MINUTES, cpus_per_task=spec.threads, **gpus)
    job: submitit.Job[Done] = executor.submit(task)
    return job
