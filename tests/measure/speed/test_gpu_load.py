"""How much of a GPU a training fills, from what a profiler tells of its kernels."""

from dataclasses import dataclass

import pytest

from bench.measure.speed.gpu_load import busy_share, device_load


@dataclass
class Kernel:
    self_device_time_total: float  # µs


def test_the_slower_of_host_and_device_sets_the_pace() -> None:
    kernels = [Kernel(1000.0), Kernel(500.0)]  # 1.5 ms
    assert busy_share(kernels, 0.006) == pytest.approx(0.25)  # launches take four times as long
    assert busy_share(kernels, 0.0001) == 1.0  # the host is far ahead


def test_without_kernels_there_is_nothing_to_say() -> None:
    assert busy_share([], 1.0) is None
    assert device_load(lambda: None, "cpu") is None
