"""Our way of doing something beside the usual ones, by turns in one process, as ratios."""

import time
from collections.abc import Callable, Mapping

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.stats.medians import median_interval
from benchmarks.specs import DEVICE

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def to_its_end(work: Work) -> Work:
    """The same, done once the device has done it too."""
    if DEVICE == "cpu":
        return work

    def waited() -> None:
        work()
        torch.cuda.synchronize()

    return waited


def versus(  # noqa: PLR0913 - what a benchmark is
    benchmark: BenchmarkFixture,
    ours: Work,
    theirs: Mapping[str, Work],
    *,
    what: str,
    rounds: int = 12,
    warm_up: bool = True,
    goal: float | None = None,
    gpu_goal: float | None = None,
) -> None:
    """Measure ``ours``, and before each of its rounds one round of each of ``theirs``.

    What a machine does meanwhile therefore falls on all alike. The ratio, theirs over ours, is taken round by
    round; of its median there is an interval that assumes no distribution. Both go into the benchmark's
    ``extra_info``, from which docs/performance.md is made.

    Args:
        ours: One round of ours.
        theirs: One round of each rival, by its name.
        what: What is done, in words.
        rounds: At least six.
        warm_up: Whether a round goes before them that does not count.
        goal: The ratio that was aimed at, over the first rival.
        gpu_goal: The same on a GPU.
    """
    goal = goal if DEVICE == "cpu" else gpu_goal
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
    own = list(benchmark.stats.stats.data)
    benchmark.extra_info |= {"what": what, "goal": goal, "against": {n: _ratio(t, own) for n, t in times.items()}}


def _ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    ratio, low, high = median_interval([their / our for their, our in zip(theirs, ours, strict=True)])
    return {"ratio": ratio, "low": low, "high": high, "seconds": sorted(theirs)[len(theirs) // 2]}
