"""How much of a GPU one training fills: what decides how many fit on it beside each other."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch.profiler import ProfilerActivity, profile

from bench.contract.jobs import Load

STEPS = 5


class _Event(Protocol):
    self_device_time_total: float  # µs


def device_load(step: Callable[[], object], device: str) -> Load | None:
    """Watch some steps; None on a CPU, and where kernels cannot be timed.

    Args:
        step: Takes one training step; called some times before.
        device: "cpu", "cuda" or "cuda:1".
    """
    if not device.startswith("cuda"):
        return None
    torch.cuda.synchronize()
    try:
        with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
            began = time.process_time()  # of this process: what others do meanwhile is not in it
            for _ in range(STEPS):
                step()
            host_seconds = time.process_time() - began
            torch.cuda.synchronize()
        busy = busy_share(profiler.key_averages(), host_seconds)
    except RuntimeError as error:  # no access to the counters of the card
        print(f"kernels cannot be timed here: {error}")
        return None
    return None if busy is None else Load(busy=busy, memory_bytes=torch.cuda.max_memory_reserved())


def busy_share(kernels: Iterable[_Event], host_seconds: float) -> float | None:
    """The share of a step in which the device works, if the host takes ``host_seconds`` to ask for it.

    A step takes as long as the slower of the two. None if no kernel ran.
    """
    device_seconds = sum(kernel.self_device_time_total for kernel in kernels) / 1e6
    if device_seconds <= 0:
        return None
    return device_seconds / max(device_seconds, host_seconds)
