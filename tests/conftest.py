"""Fixtures and options of all tests. One thread, so that results do not depend on the number of cores."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench.data import cifair
from bench.measure.metrics import weights

# A packed copy of the official files may exist next to the checkout; only the tests use it.
PACKED = Path(__file__).resolve().parents[2] / "shared" / "data"
TESTS = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of the official files; skip the test if they are missing."""
    root = os.environ.get("BENCH_DATA")
    if not root and (PACKED / "unpack.py").exists():
        root = str(tmp_path_factory.mktemp("data"))
        subprocess.run([sys.executable, PACKED / "unpack.py", root], check=True, capture_output=True)
        os.environ.setdefault("BENCH_ADDNIST_SAMPLE", str(PACKED / "addnist_real_sample300.npz"))
    if not root or not (Path(root) / "cifar-100-python" / "train").exists():
        pytest.skip("needs the official CIFAR-100 and MNIST files in $BENCH_DATA")
    return Path(root)


@pytest.fixture(scope="session")
def near_duplicates_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with only ciFAIR's list of near duplicates; skip the test if the list is missing."""
    candidates = (Path(os.environ.get("BENCH_DATA", "absent")) / cifair.FILE, PACKED / cifair.FILE)
    source = next((path for path in candidates if path.exists()), None)
    if source is None:
        pytest.skip("needs ciFAIR's list in $BENCH_DATA; `bench data fetch cifair` gets it")
    root = tmp_path_factory.mktemp("cifair")
    (root / cifair.FILE).parent.mkdir()
    (root / cifair.FILE).write_bytes(source.read_bytes())
    return root


@pytest.fixture(scope="session")
def metric_weights() -> Path:
    """Return the folder with the weights of the metric networks; skip the test if they are missing."""
    reason = weights.missing(*weights.ALL)
    if reason is not None:
        pytest.skip(reason)
    return weights.weights_folder()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run tests that take minutes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--run-slow"):
        skip = pytest.mark.skip(reason="slow; run with --run-slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)
    # With pytest-xdist the tests of one file share a worker and its fixtures, unless they set `xdist_group`.
    # The slowest files come first, so that no worker runs them alone at the end.
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(TESTS).as_posix()))
    items.sort(key=lambda item: not item.path.is_relative_to(TESTS / "harness") and item.path.parent != TESTS)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; tests that use it are skipped without one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium, e.g. apt-get install chromium")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox does not work as root
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()
