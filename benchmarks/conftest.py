"""One thread for every benchmark, unless it says otherwise: two beside each other would measure one another."""

import os

from bench.run.executors.local import ALLOCATOR

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import torch

from bench.measure.environment import capture_environment
from benchmarks.specs import DEVICE

torch.set_num_threads(1)


def pytest_benchmark_update_machine_info(config: object, machine_info: dict[str, Any]) -> None:
    """Versions and device, as records have them."""
    machine_info["capbench"] = capture_environment(DEVICE)
    machine_info["allocator_kept"] = all(name in os.environ for name in ALLOCATOR)
