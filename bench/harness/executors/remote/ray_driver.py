"""Executor for a Ray cluster: each job is one task, which Ray retries on another node if its node dies.

This repository's code and the submissions are sent as Ray's working directory. Data arrays and weights go through
Ray's object store, once per node. Nodes need capbench's dependencies, and the same version of Ray.
"""

import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.contract.datasets import DataSource, has_own_files
from bench.contract.jobs.files import Phase
from bench.contract.jobs.reports import Failure, Progress
from bench.contract.jobs.spec import ArrayFile, JobData, JobSpec
from bench.data.store import files_of
from bench.errors import UsageError
from bench.files import REPOSITORY
from bench.harness.executors.executor import JobRequest, JobResult
from bench.harness.executors.local import OnProgress, PhaseEnvironment, Stopped
from bench.harness.executors.remote.base import NodeOptions
from bench.harness.executors.remote.ray_node import SUBMISSIONS, ProgressActor, RayTask, run_ray_task
from bench.harness.executors.remote.staging import StagedFile, folder_bytes, stage_file, write_folder
from bench.harness.executors.sandbox import NO_SANDBOX
from bench.harness.planning.devices import usable_cores
from bench.measure.machine.environment import capture_machine
from bench.measure.metrics.weights import ALL, missing

RETRIES = 3  # per job, after its node died
WAIT_SECONDS = 0.5
REACH_SECONDS = 10.0
ARRAYS = ("train_images", "train_labels", "evaluation_images")
NEEDS_DATA_FILES: tuple[Phase, ...] = ("score", "score_real")
CODE = ("bench", "reference_models")


class RayExecutor:
    """An executor that runs each job's phases as a task of a Ray cluster."""

    def __init__(
        self,
        address: str | None,
        submissions: Sequence[Path],
        *,
        sandbox: str = "auto",
        gpus_per_run: float = 1.0,
        keep_seconds: float = 60.0,
    ) -> None:
        """Connect to a cluster, or start one on this machine.

        Args:
            address: ``HOST:PORT`` of a running cluster, ``auto`` for the cluster that this machine belongs to,
                None for a new cluster on this machine alone, which ends with the command.
            submissions: Folders of the submissions to run.
            sandbox: Passed to ``choose_sandbox`` on each node.
            gpus_per_run: GPUs per run on a GPU; below 1 for several runs per GPU.
            keep_seconds: Seconds between uploads of a run's checkpoint, from which another node can resume.

        Raises:
            UsageError: If there is no cluster at ``address``, or ``gpus_per_run`` is not positive.
        """
        if gpus_per_run <= 0:
            raise UsageError(f"--gpus-per-run {gpus_per_run}: give more than 0")
        _check_reachable(address)
        self._stage = Path(tempfile.mkdtemp(prefix="capbench-stage-"))
        _stage_code(self._stage, submissions)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
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
        self._actor: Any = ray.remote(ProgressActor).options(num_cpus=0, scheduling_strategy=here).remote()
        self._environment = capture_machine()
        self._staged: dict[Path, StagedFile] = {}  # hashes of data set files and weights, computed once
        self._objects: dict[str, Any] = {}  # sha256 of a file -> its reference in the object store
        self._lock = threading.Lock()
        self._listeners: dict[str, OnProgress] = {}
        self._starts: dict[str, int] = {}
        self.on_retry: Callable[[str], None] = lambda message: None

    def slots(self, device: str) -> int:
        """Return how many runs the cluster's present cores or GPUs can execute at once."""
        resources = ray.cluster_resources()
        if device == "cpu":
            return max(1, int(resources.get("CPU", 1)))
        return max(1, int(resources.get("GPU", 0) / self._gpus_per_run))

    @staticmethod
    def _most_cores() -> int:
        """Return the core count of the largest node; a task that asks for more would wait forever."""
        return max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=1) or 1

    def device(self, wanted: str) -> str:
        """Resolve ``auto``, see ``Cluster.device``."""
        if wanted != "auto":
            return wanted
        return "cuda" if ray.cluster_resources().get("GPU", 0) > 0 else "cpu"

    def run(self, request: JobRequest, on_progress: OnProgress, stop: threading.Event) -> JobResult:
        """Run the phases on the node that Ray chooses, see ``Executor.run``."""
        spec = request.spec
        key = str(spec.work)
        spec.work.mkdir(parents=True, exist_ok=True)
        spec = spec.model_copy(update={"threads": min(spec.threads, self._most_cores())})
        task = self._task(key, spec, request.phases, request.phase_environment)
        self._listeners[key] = on_progress
        function: Any = ray.remote(run_ray_task)
        reference = function.options(
            num_cpus=spec.threads,
            num_gpus=self._gpus_per_run if spec.device.startswith("cuda") else 0,
            max_retries=RETRIES,
            name=f"{spec.submission}/{spec.variant} seed {spec.seed}",
        ).remote(task, folder_bytes(spec.work), self._actor)
        try:
            result, content = self._wait(key, reference, stop)
        except RayError as error:
            if stop.is_set() or isinstance(error, TaskCancelledError):
                raise Stopped from None
            reason = " ".join(str(error).split())[:300]
            failure = Failure(status="error", reason=f"the Ray cluster could not run the job: {reason}")
            return JobResult(failure, self._environment, 1, NO_SANDBOX)
        finally:
            self._listeners.pop(key, None)
            self._actor.forget.remote(key)
        write_folder(content, spec.work)
        if result is None:
            raise Stopped
        return result

    def _wait(self, key: str, reference: Any, stop: threading.Event) -> tuple[JobResult | None, bytes]:
        """Wait for a task's result and work folder. If ``stop`` is set, stop or cancel the task first."""
        stopping = False
        while True:
            ready, _ = ray.wait([reference], timeout=WAIT_SECONDS)
            if ready:
                result: tuple[JobResult | None, bytes] = ray.get(reference)
                return result
            if stop.is_set() and not stopping:
                stopping = True
                self._actor.stop.remote()
                if key not in self._starts:  # no node has started it
                    ray.cancel(reference)

    def _task(
        self, key: str, spec: JobSpec, phases: tuple[Phase, ...], phase_environment: PhaseEnvironment
    ) -> RayTask:
        data = spec.data
        arrays = {name: file for name in ARRAYS if (file := getattr(data, name)) is not None}
        needs_data_files = bool(set(phases) & set(NEEDS_DATA_FILES))
        weights = [item.path for item in ALL] if needs_data_files and missing(*ALL) is None else []
        names, source = _names_on_node(data)
        return RayTask(
            key=key,
            spec=spec.model_copy(update={"data": data.model_copy(update={"source": source})}),
            options=NodeOptions(phases, phase_environment.limits, self._sandbox, self._environment["repository"]),
            arrays={name: self._array(file) for name, file in arrays.items()},
            data_files=self._files(names) if needs_data_files else [],
            weights=self._files({path: path.name for path in weights}),
            keep_seconds=self._keep_seconds,
        )

    def _array(self, file: ArrayFile) -> tuple[StagedFile, Any]:
        return self._with_reference(StagedFile(file.sha256, file.path.name), file.path)

    def _files(self, names: Mapping[Path, str]) -> list[tuple[StagedFile, Any]]:
        """Stage files under the given names, relative to a folder of the node."""
        for path, name in names.items():
            if path not in self._staged:
                self._staged[path] = stage_file(path, name)
        return [self._with_reference(self._staged[path], path) for path in names]

    def _with_reference(self, staged: StagedFile, path: Path) -> tuple[StagedFile, Any]:
        """Put a file into the object store, unless it is there already. Return it with its reference."""
        with self._lock:
            if staged.sha256 not in self._objects:
                self._objects[staged.sha256] = ray.put(path.read_bytes())
            return staged, self._objects[staged.sha256]

    def tick(self) -> None:
        """Forward the runs' progress, and report runs that restarted on another node."""
        events, starts = ray.get(self._actor.collect.remote())
        for key, event in events.items():
            listener = self._listeners.get(key)
            if listener is not None:
                listener(Progress.model_validate_json(event))
        for key, count in starts.items():
            if count > self._starts.get(key, 1):
                self.on_retry(f"{Path(key).parent.name}: its node was lost; the run continues on another node")
        self._starts = starts

    def close(self) -> None:
        """Disconnect from the cluster, and end it if this command started it."""
        ray.shutdown()
        shutil.rmtree(self._stage, ignore_errors=True)


def _check_reachable(address: str | None) -> None:
    """Raise at once if nothing listens at the address: Ray itself retries for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
        except OSError as error:
            raise UsageError(f"--address {address}: no Ray cluster there ({error})") from None


def _stage_code(stage: Path, submissions: Sequence[Path]) -> None:
    """Copy this repository's code and the submissions into Ray's working directory."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in CODE:
        shutil.copytree(REPOSITORY / name, stage / name, ignore=ignored)
    for folder in submissions:
        shutil.copytree(folder, stage / SUBMISSIONS / folder.name, ignore=ignored)


def _names_on_node(data: JobData) -> tuple[dict[Path, str], DataSource | None]:
    """Return a data set's files with their names below the node's data root, and the source to use there."""
    source = data.source
    names: dict[Path, str] = {}
    if not has_own_files(source):
        files = files_of(source or data.name, data.root)
        return {path: path.relative_to(data.root).as_posix() for path in files}, source
    paths = {}
    for field in ("path", "test_path"):
        if (path := getattr(source, field)) is not None:
            base = data.root / path
            inside = [base] if base.is_file() else [file for file in base.rglob("*") if file.is_file()]
            names |= {file: f"{field}/{file.relative_to(base.parent).as_posix()}" for file in sorted(inside)}
            paths[field] = Path(field, base.name)
    return names, source.model_copy(update=paths)
