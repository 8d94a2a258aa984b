"""Throughput: repeated calls in timed blocks, by torch's benchmark timer, which waits for the device itself."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.benchmark import Timer

from bench.measure.neighbours import Neighbours


@dataclass(frozen=True)
class Throughput:
    """Items a second: median and interquartile range over blocks of calls."""

    median_per_s: float
    iqr_per_s: float
    blocks: int
    calls_per_block: int
    items_per_call: int
    neighbours: float  # share of the machine's processors that other programs had meanwhile


def measure_throughput(
    function: Callable[[], object],
    *,
    items_per_call: int,
    warmup_calls: int = 2,
    blocks: int = 10,
    max_seconds: float = 5.0,
) -> Throughput:
    """How many items a second ``function`` gets through.

    The number of calls a block is chosen from a timed one so that all blocks together take about
    ``max_seconds``; there are always ``blocks`` of them, at least ten, and at least one call in each.

    Args:
        function: Does the work of one call; called ``warmup_calls`` times first, untimed.
        items_per_call: Images or steps that a call stands for.
        warmup_calls: Untimed calls, for allocators, caches and algorithm searches.
        blocks: Timed blocks.
        max_seconds: What the timed blocks should take together.

    Raises:
        ValueError: If fewer than ten blocks are asked for.
    """
    if blocks < 10:
        raise ValueError(f"`blocks` is {blocks}; an interquartile range needs at least 10")
    for _ in range(warmup_calls):
        function()
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    once = timer.timeit(1).median
    calls = max(1, int(max_seconds / blocks / max(once, 1e-9)))
    neighbours = Neighbours()
    seconds = torch.tensor([timer.timeit(calls).median for _ in range(blocks)], dtype=torch.float64)
    quartiles = (items_per_call / seconds).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    low, median, high = quartiles.tolist()
    return Throughput(median, high - low, blocks, calls, items_per_call, neighbours.share())
