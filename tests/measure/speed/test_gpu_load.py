"""The busy share of a GPU, from the kernel times of a profiler."""

from dataclasses import dataclass

import pytest

from bench.measure.speed.gpu_load import busy_share, device_load


@dataclass
class Kernel:
    self_device_time_total: float  # µs


def test_busy_share_is_kernel_time_per_step_time_up_to_1() -> None:
    kernels = [Kernel(1000.0), Kernel(500.0)]  # 1.5 ms
    assert busy_share(kernels, 0.006) == pytest.approx(0.25)  # launches take four times as long
    assert busy_share(kernels, 0.0001) == 1.0  # the host is far ahead


def test_busy_share_without_kernels_is_none() -> None:
    assert busy_share([], 1.0) is None
    assert device_load(lambda: None, "cpu") is None
