"""Use one thread for every benchmark that does not set another number."""

import os

from bench.harness.executors.local import ALLOCATOR

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import torch

from bench.measure.machine.environment import capture_environment
from benchmarks.specs import DEVICE

torch.set_num_threads(1)


def pytest_benchmark_update_machine_info(config: object, machine_info: dict[str, Any]) -> None:
    """Add versions and device in the format of records."""
    machine_info["capbench"] = capture_environment(DEVICE)
    machine_info["allocator_kept"] = all(name in os.environ for name in ALLOCATOR)
