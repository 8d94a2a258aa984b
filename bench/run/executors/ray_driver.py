"""Phases on the nodes of a Ray cluster: each job one task, retried where its node dies.

This repository's code and the submissions travel as Ray's working directory, arrays and weights through its object
store and once to a node. Nodes need the packages that capbench needs, and Ray in the same version.
"""

import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.contract.jobs import ArrayFile, Failure, JobSpec, Phase, Progress
from bench.data.store import files_of
from bench.errors import UsageError
from bench.files import REPOSITORY
from bench.measure.environment import capture_machine
from bench.measure.weights import ALL, missing
from bench.run.devices import usable_cores
from bench.run.executors.bundle import Parcel, folder_bytes, parcel_of, write_folder
from bench.run.executors.cluster import Orders
from bench.run.executors.executor import Assignment, Done
from bench.run.executors.local import Conditions, OnProgress, Stopped
from bench.run.executors.ray_node import SUBMISSIONS, Errand, Mailbox, run_errand
from bench.run.executors.sandbox import OPEN

RETRIES = 3  # of a job whose node died
WAIT_SECONDS = 0.5
REACH_SECONDS = 10.0
ARRAYS = ("train_images", "train_labels", "evaluation_images")
NEEDS_DATA_FILES: tuple[Phase, ...] = ("score", "floor")
CODE = ("bench", "reference_models")


class RayExecutor:
    """Runs phases as tasks of a Ray cluster."""

    def __init__(
        self,
        address: str | None,
        submissions: Sequence[Path],
        *,
        sandbox: str = "auto",
        gpus_per_run: float = 1.0,
        keep_seconds: float = 60.0,
    ) -> None:
        """Connect.

        Args:
            address: ``HOST:PORT`` of a running cluster, ``auto`` for the one that this machine is part of, None
                for one of this machine alone, which ends with the command.
            submissions: Folders of the submissions that will be run.
            sandbox: The walls that each node is to put up, as ``choose_walls`` takes it.
            gpus_per_run: Of a run on GPUs; below 1 for several runs on one.
            keep_seconds: Between checkpoints that nodes send here, so that another can go on from them.

        Raises:
            UsageError: If there is no cluster at ``address``, or a value makes no sense.
        """
        if gpus_per_run <= 0:
            raise UsageError(f"--gpus-per-run {gpus_per_run}: give more than 0")
        _check_reachable(address)
        self._stage = Path(tempfile.mkdtemp(prefix="capbench-stage-"))
        _stage_code(self._stage, submissions)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            ray.init(
                address=address or "local",
                runtime_env={"working_dir": str(self._stage)},
                log_to_driver=False,
                logging_level=logging.ERROR,
                num_cpus=usable_cores() if address is None else None,
                include_dashboard=False if address is None else None,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            shutil.rmtree(self._stage, ignore_errors=True)
            raise UsageError(
                f"--address {address}: no Ray cluster there ({' '.join(str(error).split())})"
            ) from None
        self._sandbox, self._gpus_per_run, self._keep_seconds = sandbox, gpus_per_run, keep_seconds
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self._environment = capture_machine()
        self._parcels: dict[Path, Parcel] = {}  # of files of data sets and weights: hashed once
        self._objects: dict[str, Any] = {}  # hash of a file -> where it is in the object store
        self._lock = threading.Lock()
        self._listeners: dict[str, OnProgress] = {}
        self._begun: dict[str, int] = {}
        self.on_retry: Callable[[str], None] = lambda message: None

    def slots(self, device: str) -> int:
        """As ``Cluster.slots``: those that go on at once, as the cluster is now."""
        resources = ray.cluster_resources()
        if device == "cpu":
            return max(1, int(resources.get("CPU", 1)))
        return max(1, int(resources.get("GPU", 0) / self._gpus_per_run))

    @staticmethod
    def _widest() -> int:
        """The cores of the node that has most; a task that wants more would wait for ever."""
        return max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=1) or 1

    def device(self, wanted: str) -> str:
        """As ``Cluster.device``."""
        if wanted != "auto":
            return wanted
        return "cuda" if ray.cluster_resources().get("GPU", 0) > 0 else "cpu"

    def run(self, assignment: Assignment, on_progress: OnProgress, stop: threading.Event) -> Done:
        """As ``Executor.run``, on whichever node has room."""
        spec = assignment.spec
        key = str(spec.work)
        spec.work.mkdir(parents=True, exist_ok=True)
        spec = spec.model_copy(update={"threads": min(spec.threads, self._widest())})
        errand = self._errand(key, spec, assignment.phases, assignment.conditions)
        self._listeners[key] = on_progress
        task: Any = ray.remote(run_errand)
        reference = task.options(
            num_cpus=spec.threads,
            num_gpus=self._gpus_per_run if spec.device.startswith("cuda") else 0,
            max_retries=RETRIES,
            name=f"{spec.submission}/{spec.variant} seed {spec.seed}",
        ).remote(errand, folder_bytes(spec.work), self._mailbox)
        try:
            done, content = self._result(key, reference, stop)
        except RayError as error:
            if stop.is_set() or isinstance(error, TaskCancelledError):
                raise Stopped from None
            reason = " ".join(str(error).split())[:300]
            failure = Failure(status="error", reason=f"could not be run on the cluster: {reason}")
            return Done(failure, self._environment, 1, OPEN)
        finally:
            self._listeners.pop(key, None)
            self._mailbox.forget.remote(key)
        write_folder(content, spec.work)
        if done is None:
            raise Stopped
        return done

    def _result(self, key: str, reference: Any, stop: threading.Event) -> tuple[Done | None, bytes]:
        told = False
        while True:
            ready, _ = ray.wait([reference], timeout=WAIT_SECONDS)
            if ready:
                result: tuple[Done | None, bytes] = ray.get(reference)
                return result
            if stop.is_set() and not told:
                told = True
                self._mailbox.stop.remote()
                if key not in self._begun:  # it waits for a node
                    ray.cancel(reference)

    def _errand(self, key: str, spec: JobSpec, phases: tuple[Phase, ...], conditions: Conditions) -> Errand:
        data = spec.data
        arrays = {name: file for name in ARRAYS if (file := getattr(data, name)) is not None}
        scores = bool(set(phases) & set(NEEDS_DATA_FILES))
        weights = [item.path for item in ALL] if scores and missing(*ALL) is None else []
        return Errand(
            key=key,
            spec=spec,
            orders=Orders(phases, conditions.limits, self._sandbox, self._environment["repository"]),
            arrays={name: self._array(file) for name, file in arrays.items()},
            data_files=self._files(files_of(data.name, data.root), data.root) if scores else [],
            weights=self._files(weights, weights[0].parent) if weights else [],
            keep_seconds=self._keep_seconds,
        )

    def _array(self, file: ArrayFile) -> tuple[Parcel, Any]:
        return self._sent(Parcel(file.sha256, file.path.name), file.path)

    def _files(self, paths: Sequence[Path], root: Path) -> list[tuple[Parcel, Any]]:
        for path in paths:
            if path not in self._parcels:
                self._parcels[path] = parcel_of(path, path.relative_to(root).as_posix())
        return [self._sent(self._parcels[path], path) for path in paths]

    def _sent(self, parcel: Parcel, path: Path) -> tuple[Parcel, Any]:
        """The parcel with its place in the object store, to which it goes once."""
        with self._lock:
            if parcel.sha256 not in self._objects:
                self._objects[parcel.sha256] = ray.put(path.read_bytes())
            return parcel, self._objects[parcel.sha256]

    def tick(self) -> None:
        """Pass on how far the runs are, and say which were begun again."""
        events, begun = ray.get(self._mailbox.collect.remote())
        for key, event in events.items():
            listener = self._listeners.get(key)
            if listener is not None:
                listener(Progress.model_validate_json(event))
        for key, times in begun.items():
            if times > self._begun.get(key, 1):
                self.on_retry(f"{Path(key).parent.name}: its node was lost; it goes on elsewhere")
        self._begun = begun

    def close(self) -> None:
        """Leave the cluster, or end it if it was this command's own."""
        ray.shutdown()
        shutil.rmtree(self._stage, ignore_errors=True)


def _check_reachable(address: str | None) -> None:
    """Fail at once where nobody listens: Ray itself tries for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
        except OSError as error:
            raise UsageError(f"--address {address}: no Ray cluster there ({error})") from None


def _stage_code(stage: Path, submissions: Sequence[Path]) -> None:
    """What travels: this repository's code, and the submissions, under their names."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in CODE:
        shutil.copytree(REPOSITORY / name, stage / name, ignore=ignored)
    for folder in submissions:
        shutil.copytree(folder, stage / SUBMISSIONS / folder.name, ignore=ignored)
