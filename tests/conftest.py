"""Shared by all tests: one thread, which makes timings and results independent of the machine's cores."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The root of the official files; tests that need it are skipped, visibly, where it is not."""
    root = os.environ.get("BENCH_DATA")
    if not root or not (Path(root) / "cifar-100-python" / "train").exists():
        pytest.skip("needs the official CIFAR-100 and MNIST files in $BENCH_DATA")
    return Path(root)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --run-slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
