"""The Ray task that runs the phases of one job on a node, with the executor that also runs them locally."""

import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray

from bench.contract.jobs.files import CHECKPOINT
from bench.contract.jobs.reports import Progress
from bench.contract.jobs.spec import ArrayFile, JobSpec
from bench.data.store import cache_folder
from bench.files import REPOSITORY
from bench.harness.executors.executor import JobResult
from bench.harness.executors.local import Stopped
from bench.harness.executors.remote.base import NodeOptions, run_on_node
from bench.harness.executors.remote.staging import StagedFile, fetch_staged, folder_bytes, write_folder
from bench.harness.planning.devices import usable_cores

POLL_SECONDS = 1.0
SUBMISSIONS = "submissions"  # subfolder of Ray's working directory


class ProgressActor:
    """A Ray actor through which nodes and driver communicate. On the driver's node, it outlives other nodes.

    For each active run, it stores the last progress event, the number of starts, and the last checkpoint.
    """

    def __init__(self) -> None:
        self._events: dict[str, str] = {}
        self._starts: dict[str, int] = {}
        self._checkpoints: dict[str, bytes] = {}
        self._stopping = False

    def begin(self, key: str) -> bytes | None:
        """Count a start of a run. Return the checkpoint that an earlier node uploaded; None if there is none."""
        self._starts[key] = self._starts.get(key, 0) + 1
        return self._checkpoints.get(key)

    def post(self, key: str, event: str) -> bool:
        """Store a node's progress event, if it is not empty. Return whether the node must stop."""
        if event:
            self._events[key] = event
        return self._stopping

    def keep(self, key: str, checkpoint: bytes) -> None:
        """Store a checkpoint, from which another node can resume the run."""
        self._checkpoints[key] = checkpoint

    def collect(self) -> tuple[dict[str, str], dict[str, int]]:
        """Return the events since the last call, and the number of starts of each run. The driver calls this."""
        events, self._events = self._events, {}
        return events, dict(self._starts)

    def stop(self) -> None:
        """Tell all nodes to stop; checkpoints are kept."""
        self._stopping = True

    def forget(self, key: str) -> None:
        """Delete the state of a finished run."""
        for state in (self._events, self._starts, self._checkpoints):
            state.pop(key, None)


@dataclass(frozen=True)
class RayTask:
    """The input of a Ray task: one job's phases and data. Large files are references into Ray's object store."""

    key: str
    spec: JobSpec
    options: NodeOptions
    arrays: dict[str, tuple[StagedFile, Any]]  # field of JobData -> file
    data_files: list[tuple[StagedFile, Any]]  # of the complete data set, for scoring phases
    weights: list[tuple[StagedFile, Any]]  # of the metric networks, for scoring phases
    keep_seconds: float  # between two uploads of a checkpoint to the actor


def run_ray_task(task: RayTask, work_content: bytes, actor: Any) -> tuple[JobResult | None, bytes]:
    """Run the phases in a temporary folder of this node.

    Args:
        task: The phases and their data.
        work_content: The driver's work folder, as an archive.
        actor: Handle of the ``ProgressActor``.

    Returns:
        The result, None if the run was stopped, and the work folder after the run as an archive.
    """
    checkpoint = ray.get(actor.begin.remote(task.key))
    with tempfile.TemporaryDirectory(prefix="capbench-node-", ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "work"
        write_folder(work_content, work)
        saved = work / "train" / CHECKPOINT
        if checkpoint is not None:
            saved.parent.mkdir(parents=True, exist_ok=True)
            saved.write_bytes(checkpoint)
        try:
            result = _run(task, work, actor)
        except Stopped:
            return None, folder_bytes(work)
        return result, folder_bytes(work, [saved] if result.failure is None and task.spec.ends else [])


def _run(task: RayTask, work: Path, actor: Any) -> JobResult:
    spec = _local_spec(task, work)
    stop, finished = threading.Event(), threading.Event()
    latest: list[Progress] = []

    def on_progress(event: Progress) -> None:
        latest[:] = [event]

    reporter = threading.Thread(target=_report, args=(task, work, actor, latest, stop, finished))
    reporter.start()
    try:
        return run_on_node(spec, task.options, _slots(), on_progress, stop)
    finally:
        finished.set()
        reporter.join()


def _report(
    task: RayTask,
    work: Path,
    actor: Any,
    latest: list[Progress],
    stop: threading.Event,
    finished: threading.Event,
) -> None:
    """Send progress and checkpoints to the actor, and set ``stop`` when the driver stops the run."""
    saved, uploaded, upload_time = work / "train" / CHECKPOINT, 0.0, time.monotonic()
    while not finished.wait(POLL_SECONDS):
        event = latest.pop().model_dump_json() if latest else ""
        if ray.get(actor.post.remote(task.key, event)):
            stop.set()
        if time.monotonic() - upload_time >= task.keep_seconds and saved.exists():
            modified = saved.stat().st_mtime
            if modified != uploaded:
                ray.get(actor.keep.remote(task.key, saved.read_bytes()))
                uploaded = modified
            upload_time = time.monotonic()


def _slots() -> int:
    """Return how many tasks with this task's resources fit on this node and share its memory."""
    node_id = ray.get_runtime_context().get_node_id()
    (total,) = [node["Resources"] for node in ray.nodes() if node["NodeID"] == node_id]
    assigned: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    fits = [
        total.get(name, 0.0) / amount for name, amount in assigned.items() if amount > 0 and name in ("CPU", "GPU")
    ]
    return max(1, int(min(fits, default=usable_cores())))


def _local_spec(task: RayTask, work: Path) -> JobSpec:
    """Fetch the task's files to this node, and return the specification with their paths."""
    cache = cache_folder() / "carried"
    spec, data = task.spec, task.spec.data
    arrays = {
        name: ArrayFile(path=fetch_staged(staged, cache, partial(_get_object, ref)), sha256=staged.sha256)
        for name, (staged, ref) in task.arrays.items()
    }
    root = _staged_folder(task.data_files, cache) or data.root
    weights = _staged_folder(task.weights, cache)
    if weights is not None:
        os.environ["BENCH_WEIGHTS"] = str(weights)
    return spec.model_copy(
        update={
            "work": work,
            "folder": REPOSITORY / SUBMISSIONS / spec.submission,
            "data": data.model_copy(update={**arrays, "root": root}),
        }
    )


def _get_object(reference: Any) -> bytes:
    """Return an object of Ray's object store, which Ray copies to this node."""
    content: bytes = ray.get(reference)
    return content


def _staged_folder(staged_files: Sequence[tuple[StagedFile, Any]], cache: Path) -> Path | None:
    """Return a folder of this node that contains all staged files under their names; None if there are none."""
    if not staged_files:
        return None
    hashes = "-".join(staged.sha256[:8] for staged, _ in staged_files)
    folder = cache / f"set-{hashes}"
    for staged, ref in staged_files:
        path = fetch_staged(staged, cache, partial(_get_object, ref))
        target = folder / staged.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            link = target.with_name(f".{target.name}.{os.getpid()}")
            link.hardlink_to(path)
            link.replace(target)
    return folder
