"""Alternating measurements of our implementation and of alternatives, as ratios of times."""

import time
from collections.abc import Callable, Mapping

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.stats.medians import median_interval
from benchmarks.specs import DEVICE

WorkItem = Callable[[], object]
GPU_ROUNDS = 6  # a GPU is available only for a short time


def seconds(work: WorkItem) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def to_its_end(work: WorkItem) -> WorkItem:
    """Return ``work`` followed by a wait for the device."""
    if DEVICE == "cpu":
        return work

    def waited() -> None:
        work()
        torch.cuda.synchronize()

    return waited


def versus(  # noqa: PLR0913 - the options of a benchmark
    benchmark: BenchmarkFixture,
    ours: WorkItem,
    theirs: Mapping[str, WorkItem],
    *,
    what: str,
    rounds: int = 12,
    warm_up: bool = True,
    goal: float | None = None,
    gpu_goal: float | None = None,
) -> None:
    """Measure ``ours``, and before each of its rounds one round of each of ``theirs``.

    Background load therefore affects all alike. The ratio of each round is their time divided by ours. Its median,
    with a distribution-free interval, is stored in the benchmark's ``extra_info``, the source of
    docs/performance.md.

    Args:
        ours: One round of ours.
        theirs: Name of an alternative -> one round of it.
        what: Description of the work.
        rounds: Number of rounds, at least six; on a GPU always six.
        warm_up: Whether to run one unmeasured round first.
        goal: The ratio to reach against the first alternative on a CPU; None for no goal.
        gpu_goal: The same on a GPU.
    """
    goal = goal if DEVICE == "cpu" else gpu_goal
    rounds = rounds if DEVICE == "cpu" else min(rounds, GPU_ROUNDS)
    ours, theirs = to_its_end(ours), {name: to_its_end(work) for name, work in theirs.items()}
    times: dict[str, list[float]] = {name: [] for name in theirs}

    def theirs_first() -> None:
        for name, work in theirs.items():
            times[name].append(seconds(work))

    if warm_up:
        theirs_first()
        ours()
        times = {name: [] for name in theirs}
    benchmark.pedantic(ours, setup=theirs_first, rounds=rounds)
    our_times = list(benchmark.stats.stats.data)
    benchmark.extra_info |= {
        "what": what,
        "goal": goal,
        "against": {n: _ratio(t, our_times) for n, t in times.items()},
    }


def _ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    ratio, low, high = median_interval([their / our for their, our in zip(theirs, ours, strict=True)])
    return {"ratio": ratio, "low": low, "high": high, "seconds": sorted(theirs)[len(theirs) // 2]}
