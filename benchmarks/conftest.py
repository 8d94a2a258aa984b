"""Use one thread for every benchmark that does not set another number, and keep to a time limit."""

import os
import time

from bench.harness.executors.local import ALLOCATOR

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import pytest
import torch

from bench.measure.machine.environment import capture_environment
from benchmarks.specs import DEVICE, SECONDS

torch.set_num_threads(1)
DEADLINE = time.monotonic() + float(os.environ.get(SECONDS, "inf"))


def pytest_runtest_setup() -> None:
    """Skip the benchmarks that would begin after the time limit; the results of the others are kept."""
    if time.monotonic() > DEADLINE:
        pytest.skip(f"{os.environ[SECONDS]} seconds are over")


def pytest_benchmark_update_machine_info(config: object, machine_info: dict[str, Any]) -> None:
    """Add versions and device in the format of records."""
    machine_info["capbench"] = capture_environment(DEVICE)
    machine_info["allocator_kept"] = all(name in os.environ for name in ALLOCATOR)
