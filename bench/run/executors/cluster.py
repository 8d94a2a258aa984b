"""What executors on other machines have in common: what the runner asks of them, and how a node runs a job."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bench.contract.jobs import Failure, JobSpec, Phase, Progress
from bench.errors import UsageError
from bench.run.executors.executor import Assignment, Done, Executor, LocalExecutor
from bench.run.executors.limits import Limits, default_memory
from bench.run.executors.local import Conditions, OnProgress
from bench.run.executors.sandbox import OPEN, choose_walls


class Cluster(Executor, Protocol):
    """An executor whose runs go on on other machines."""

    on_retry: Callable[[str], None]  # told of a run that was begun again, because its node was lost

    def slots(self, device: str) -> int:
        """How many runs to hand it at once."""

    def device(self, wanted: str) -> str:
        """``auto`` as ``cuda`` where the cluster has a GPU."""


@dataclass(frozen=True)
class Orders:
    """What a node is to do with a job. Walls and its share of memory are the node's own to find."""

    phases: tuple[Phase, ...]
    limits: Limits
    sandbox: str  # as the option has it
    repository: dict[str, Any] | None  # the driver's checkout, whose code this is; None for the node's own


def run_on_node(spec: JobSpec, orders: Orders, slots: int, on_progress: OnProgress, stop: threading.Event) -> Done:
    """Run a job's phases on this node, by the code that runs them locally.

    Args:
        spec: With this node's paths.
        orders: What to do.
        slots: How many such jobs fit on this node, and share its memory.
        on_progress: Called with each event.
        stop: Set to stop; checkpoints are kept.

    Raises:
        Stopped: If it was stopped.
    """
    executor = LocalExecutor(spec.device, slots)
    if orders.repository is not None:
        executor.environment["repository"] = orders.repository
    try:
        walls = choose_walls(orders.sandbox, spec.device)
    except UsageError as error:
        failure = Failure(status="error", reason=f"on a node: {error}")
        return Done(failure, executor.environment, slots, OPEN)
    limits = orders.limits
    memory = spec.memory_bytes or (default_memory(slots) if spec.device == "cpu" else None)
    spec = spec.model_copy(update={"memory_bytes": memory})
    if limits.memory_bytes is None:
        limits = Limits(limits.seconds, memory, limits.threads)

    def pass_on(event: Progress) -> None:
        on_progress(event)
        executor.tick()

    return executor.run(Assignment(spec, orders.phases, Conditions(limits, walls)), pass_on, stop)
