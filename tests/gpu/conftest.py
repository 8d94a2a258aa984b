"""What tests of a GPU run on."""

import os

import pytest
import torch


@pytest.fixture(scope="session")
def gpu() -> str:
    """A CUDA device. ``BENCH_TEST_GPU=cpu`` rehearses the tests where there is none."""
    device = os.environ.get("BENCH_TEST_GPU", "cuda")
    if device != "cpu" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return device
