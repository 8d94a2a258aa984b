"""Measure the share of a GPU that one training uses; it decides how many trainings share the GPU."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch.profiler import ProfilerActivity, profile

from bench.contract.jobs.reports import GpuLoad

STEPS = 5


class _Event(Protocol):
    self_device_time_total: float  # µs


def device_load(step: Callable[[], object], device: str) -> GpuLoad | None:
    """Profile five training steps; return None on a CPU, or if kernels cannot be timed.

    Args:
        step: Takes one training step; call it a few times before, as warm-up.
        device: "cpu", "cuda" or "cuda:1".
    """
    if not device.startswith("cuda"):
        return None
    torch.cuda.synchronize()
    try:
        with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
            began = time.process_time()  # CPU time of this process, independent of other processes
            for _ in range(STEPS):
                step()
            host_seconds = time.process_time() - began
            torch.cuda.synchronize()
        busy = busy_share(profiler.key_averages(), host_seconds)
    except RuntimeError as error:  # no permission to read the GPU's counters
        print(f"kernels cannot be timed here: {error}")
        return None
    return None if busy is None else GpuLoad(busy=busy, memory_bytes=torch.cuda.max_memory_reserved())


def busy_share(kernels: Iterable[_Event], host_seconds: float) -> float | None:
    """Return the share of a step, in (0, 1], in which the device is busy; None if no kernel ran.

    A step takes as long as the slower of the device and the host, which needs ``host_seconds`` for the launches.
    """
    device_seconds = sum(kernel.self_device_time_total for kernel in kernels) / 1e6
    if device_seconds <= 0:
        return None
    return device_seconds / max(device_seconds, host_seconds)
