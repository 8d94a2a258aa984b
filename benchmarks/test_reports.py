"""Tables from records, and how long the command takes to start."""

import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.records import record_path, write_record
from bench.report.compare import comparison_text
from bench.report.summary import read_all, summarize
from tests.report.making_records import make_record

RECORDS = 1000


def test_compare_1000_records(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    for index in range(RECORDS):
        record = make_record(f"net{index % 100}", index // 100, 0.3 + index / 10_000)
        write_record(record_path(tmp_path, record.identity, record.protocol), record)
    benchmark.pedantic(lambda: comparison_text(summarize(read_all(tmp_path)[0])), rounds=5)


def test_help(benchmark: BenchmarkFixture) -> None:
    command = [sys.executable, "-m", "bench", "--help"]
    benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True), warmup_rounds=1, rounds=10
    )
