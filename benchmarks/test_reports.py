"""Time of tables from records, and of the start of commands."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Curves, Record
from bench.report.compare import comparison_text
from bench.report.records.aggregate import summarize
from bench.report.records.load import read_brief
from tests.report.making_records import make_record


def realistic(submission: int, seed: int) -> Record:
    """Return a record of realistic size: two curves of a hundred windows."""
    record = make_record(f"net{submission}", seed, 0.3 + submission / 10_000 + seed / 1000)
    assert record.training is not None
    values = {name: [0.123456789 * index + seed for index in range(100)] for name in ("loss", "accuracy")}
    curves = Curves(steps=list(range(100, 10_001, 100)), values=values)
    return record.model_copy(update={"training": record.training.model_copy(update={"curves": curves})})


def write_records(folder: Path, count: int) -> Path:
    """Write ``count`` records, ten seeds per submission."""
    for index in range(count):
        record = realistic(index // 10, index % 10)
        write_record(record_path(folder, record.identity, record.protocol), record)
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use a separate index of records."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"


def test_compare_1000_records(benchmark: BenchmarkFixture, tmp_path: Path, own_cache: Path) -> None:
    """Measure the time of a table, for `bench check --baseline`."""
    results = write_records(tmp_path / "results", 1000)
    benchmark.pedantic(lambda: comparison_text(summarize(read_brief(results)[0])), warmup_rounds=1, rounds=5)


@pytest.mark.parametrize("arguments", [["--help"], ["compare"]], ids=" ".join)
def test_start(benchmark: BenchmarkFixture, arguments: list[str]) -> None:
    """Measure the time of a command with the committed records, start included."""
    command = [sys.executable, "-m", "bench", *arguments]
    benchmark.extra_info["what"] = f"bench {' '.join(arguments)}"
    benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True), warmup_rounds=1, rounds=10
    )
