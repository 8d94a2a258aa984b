"""The device of the GPU tests."""

import os

import pytest
import torch


@pytest.fixture(scope="session")
def gpu() -> str:
    """Return the CUDA device; ``BENCH_TEST_GPU=cpu`` runs the tests on a CPU instead."""
    device = os.environ.get("BENCH_TEST_GPU", "cuda")
    if device != "cpu" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return device
