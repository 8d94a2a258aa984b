"""Measure throughput in timed blocks of calls, with torch's benchmark timer, which synchronises the device."""

import logging
from collections.abc import Callable

import torch

from bench.contract.records.record import Throughput
from bench.measure.speed.background_load import BackgroundLoad


def measure_throughput(
    function: Callable[[], object],
    *,
    items_per_call: int,
    dtype: str = "float32",
    warmup_calls: int = 2,
    blocks: int = 10,
    max_seconds: float = 5.0,
) -> Throughput:
    """Measure the throughput of ``function`` in items per second.

    The number of calls per block, at least 1, is chosen from one timed call so that all blocks together take about
    ``max_seconds``. The number of blocks is fixed.

    Args:
        function: Does the work of one call.
        items_per_call: Images or steps per call.
        dtype: The dtype of the computation, for the record.
        warmup_calls: Untimed calls before the measurement, for allocators, caches and algorithm searches.
        blocks: Number of timed blocks, at least 10.
        max_seconds: Target duration of all timed blocks together.

    Raises:
        ValueError: If ``blocks`` is below 10.
    """
    if blocks < 10:
        raise ValueError(f"`blocks` is {blocks}; an interquartile range needs at least 10")
    # The timer's package imports torch's builder of C++ extensions, which warns of a compiler without a GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    for _ in range(warmup_calls):
        function()
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    once = timer.timeit(1).median
    calls = max(1, int(max_seconds / blocks / max(once, 1e-9)))
    load = BackgroundLoad()
    seconds = torch.tensor([timer.timeit(calls).median for _ in range(blocks)], dtype=torch.float64)
    quartiles = (items_per_call / seconds).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    low, median, high = quartiles.tolist()
    return Throughput(
        median_per_s=median,
        iqr_per_s=high - low,
        blocks=blocks,
        calls_per_block=calls,
        items_per_call=items_per_call,
        dtype=dtype,
        background_load=load.share(),
    )
