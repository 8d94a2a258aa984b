"""What happens on a node of a Ray cluster: the phases of one job, by the same code that runs them locally."""

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

from bench.contract.jobs import CHECKPOINT, ArrayFile, JobSpec, Progress
from bench.data.store import cache_folder
from bench.files import REPOSITORY
from bench.run.devices import usable_cores
from bench.run.executors.bundle import Parcel, folder_bytes, place, write_folder
from bench.run.executors.cluster import Orders, run_on_node
from bench.run.executors.executor import Done
from bench.run.executors.local import Stopped

POLL_SECONDS = 1.0
SUBMISSIONS = "submissions"  # in the folder that travels with the job


class Mailbox:
    """Where nodes leave word for the driver, in an actor on the driver's own node, which outlives theirs.

    Of each run that is going on it holds how far it is, how often it was begun, and its last checkpoint.
    """

    def __init__(self) -> None:
        self._events: dict[str, str] = {}
        self._begun: dict[str, int] = {}
        self._kept: dict[str, bytes] = {}
        self._stopping = False

    def begin(self, key: str) -> bytes | None:
        """A node begins a run: the checkpoint that another one left of it, if there is one."""
        self._begun[key] = self._begun.get(key, 0) + 1
        return self._kept.get(key)

    def post(self, key: str, event: str) -> bool:
        """A node says how far it is, and is told whether to stop."""
        if event:
            self._events[key] = event
        return self._stopping

    def keep(self, key: str, checkpoint: bytes) -> None:
        """A node's checkpoint, for the one that may have to replace it."""
        self._kept[key] = checkpoint

    def collect(self) -> tuple[dict[str, str], dict[str, int]]:
        """The driver reads what has come since it last asked: events, and how often each run was begun."""
        events, self._events = self._events, {}
        return events, dict(self._begun)

    def stop(self) -> None:
        """The driver wants all to stop; checkpoints are kept."""
        self._stopping = True

    def forget(self, key: str) -> None:
        """A run is over."""
        for held in (self._events, self._begun, self._kept):
            held.pop(key, None)


@dataclass(frozen=True)
class Errand:
    """One job's phases, as a node is told of them. What is large lies in Ray's object store until it is needed."""

    key: str
    spec: JobSpec
    orders: Orders
    arrays: dict[str, tuple[Parcel, Any]]  # field of JobData -> file
    data_files: list[tuple[Parcel, Any]]  # of the data set itself, for the score phase
    weights: list[tuple[Parcel, Any]]  # of metric networks
    keep_seconds: float  # between checkpoints that go to the mailbox


def run_errand(errand: Errand, given: bytes, mailbox: Any) -> tuple[Done | None, bytes]:
    """Run the phases in a folder of this node.

    Args:
        errand: What to do.
        given: What the driver's work folder had.
        mailbox: The actor's handle.

    Returns:
        How it went, None if it was stopped, and what the work folder holds now.
    """
    checkpoint = ray.get(mailbox.begin.remote(errand.key))
    with tempfile.TemporaryDirectory(prefix="capbench-node-", ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "work"
        write_folder(given, work)
        saved = work / "train" / CHECKPOINT
        if checkpoint is not None:
            saved.parent.mkdir(parents=True, exist_ok=True)
            saved.write_bytes(checkpoint)
        try:
            done = _run(errand, work, mailbox)
        except Stopped:
            return None, folder_bytes(work)
        return done, folder_bytes(work, [saved] if done.failure is None and errand.spec.ends else [])


def _run(errand: Errand, work: Path, mailbox: Any) -> Done:
    spec = _placed(errand, work)
    stop, over = threading.Event(), threading.Event()
    latest: list[Progress] = []

    def on_progress(event: Progress) -> None:
        latest[:] = [event]

    correspondent = threading.Thread(target=_correspond, args=(errand, work, mailbox, latest, stop, over))
    correspondent.start()
    try:
        return run_on_node(spec, errand.orders, _slots(), on_progress, stop)
    finally:
        over.set()
        correspondent.join()


def _correspond(
    errand: Errand, work: Path, mailbox: Any, latest: list[Progress], stop: threading.Event, over: threading.Event
) -> None:
    """Tell the driver how far this is, keep checkpoints with it, and hear from it whether to stop."""
    saved, kept, kept_time = work / "train" / CHECKPOINT, 0.0, time.monotonic()
    while not over.wait(POLL_SECONDS):
        event = latest.pop().model_dump_json() if latest else ""
        if ray.get(mailbox.post.remote(errand.key, event)):
            stop.set()
        if time.monotonic() - kept_time >= errand.keep_seconds and saved.exists():
            modified = saved.stat().st_mtime
            if modified != kept:
                ray.get(mailbox.keep.remote(errand.key, saved.read_bytes()))
                kept = modified
            kept_time = time.monotonic()


def _slots() -> int:
    """How many tasks like this one fit on this node, so share its memory."""
    own = ray.get_runtime_context().get_node_id()
    (total,) = [node["Resources"] for node in ray.nodes() if node["NodeID"] == own]
    taken: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    fits = [
        total.get(name, 0.0) / amount for name, amount in taken.items() if amount > 0 and name in ("CPU", "GPU")
    ]
    return max(1, int(min(fits, default=usable_cores())))


def _placed(errand: Errand, work: Path) -> JobSpec:
    """The specification with this node's paths."""
    cache = cache_folder() / "carried"
    spec, data = errand.spec, errand.spec.data
    arrays = {
        name: ArrayFile(path=place(parcel, cache, partial(_received, ref)), sha256=parcel.sha256)
        for name, (parcel, ref) in errand.arrays.items()
    }
    root = _folder_of(errand.data_files, cache) or data.root
    weights = _folder_of(errand.weights, cache)
    if weights is not None:
        os.environ["BENCH_WEIGHTS"] = str(weights)
    return spec.model_copy(
        update={
            "work": work,
            "folder": REPOSITORY / SUBMISSIONS / spec.submission,
            "data": data.model_copy(update={**arrays, "root": root}),
        }
    )


def _received(reference: Any) -> bytes:
    """What lies in the object store; Ray brings it to this node."""
    content: bytes = ray.get(reference)
    return content


def _folder_of(parcels: Sequence[tuple[Parcel, Any]], cache: Path) -> Path | None:
    """A folder of this node that has all of them under their names."""
    if not parcels:
        return None
    whole = "-".join(parcel.sha256[:8] for parcel, _ in parcels)
    folder = cache / f"set-{whole}"
    for parcel, ref in parcels:
        path = place(parcel, cache, partial(_received, ref))
        target = folder / parcel.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            made = target.with_name(f".{target.name}.{os.getpid()}")
            made.hardlink_to(path)
            made.replace(target)
    return folder
