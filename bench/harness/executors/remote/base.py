"""The common part of the cluster executors: their interface for the runner, and how a node runs a job."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bench.contract.jobs.files import Phase
from bench.contract.jobs.reports import Failure, Progress
from bench.contract.jobs.spec import JobSpec
from bench.errors import UsageError
from bench.harness.executors.executor import Executor, JobRequest, JobResult, LocalExecutor
from bench.harness.executors.limits import Limits, default_memory
from bench.harness.executors.local import OnProgress, PhaseEnvironment
from bench.harness.executors.sandbox import NO_SANDBOX, choose_sandbox


class Cluster(Executor, Protocol):
    """An executor that runs jobs on other machines."""

    on_retry: Callable[[str], None]  # called with a message when a run restarts because its node was lost

    def slots(self, device: str) -> int:
        """Return how many runs to submit at once."""

    def device(self, wanted: str) -> str:
        """Resolve ``auto`` to ``cuda`` if the cluster has a GPU, otherwise to ``cpu``."""


@dataclass(frozen=True)
class NodeOptions:
    """How a node runs a job. The node itself chooses the sandbox and the memory limit per job."""

    phases: tuple[Phase, ...]
    limits: Limits
    sandbox: str  # the value of --sandbox
    repository: dict[str, Any] | None  # state of the driver's checkout, for the record; None for the node's


def run_on_node(
    spec: JobSpec, options: NodeOptions, slots: int, on_progress: OnProgress, stop: threading.Event
) -> JobResult:
    """Run a job's phases on this node, with the executor that also runs them locally.

    Args:
        spec: The job's specification, with this node's paths.
        options: The phases, limits and sandbox.
        slots: How many such jobs fit on this node and share its memory.
        on_progress: Called with each progress event.
        stop: Event that stops the job once it is set; checkpoints are kept.

    Raises:
        Stopped: If ``stop`` was set during the job.
    """
    executor = LocalExecutor(spec.device, slots)
    if options.repository is not None:
        executor.environment["repository"] = options.repository
    try:
        sandbox = choose_sandbox(options.sandbox, spec.device)
    except UsageError as error:
        failure = Failure(status="error", reason=f"on a node: {error}")
        return JobResult(failure, executor.environment, slots, NO_SANDBOX)
    limits = options.limits
    memory = spec.memory_bytes or (default_memory(slots) if spec.device == "cpu" else None)
    spec = spec.model_copy(update={"memory_bytes": memory})
    if limits.memory_bytes is None:
        limits = Limits(limits.seconds, memory, limits.threads)

    def forward(event: Progress) -> None:
        on_progress(event)
        executor.tick()

    return executor.run(JobRequest(spec, options.phases, PhaseEnvironment(limits, sandbox)), forward, stop)
