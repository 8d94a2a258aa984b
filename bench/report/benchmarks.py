"""Speeds that pytest-benchmark measured: ``make bench-speed`` writes them, ``bench check`` compares them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.contract.manifest import describe_validation_error
from bench.contract.plain import parse_json
from bench.errors import UsageError
from bench.report.findings import OPEN, SKIPPED, Finding, Limit, slower_within
from bench.report.tables import NOTHING

FOLDER = Path(".benchmarks")


class Stats(BaseModel):
    """Of one benchmark, in seconds a call."""

    median: float
    iqr: float


class Benchmark(BaseModel):
    """One benchmark."""

    fullname: str
    stats: Stats


class BenchmarkFile(BaseModel):
    """What is read of a file of pytest-benchmark (version 4 and 5); other fields are passed over."""

    machine_info: dict[str, Any]
    benchmarks: list[Benchmark]

    @property
    def device(self) -> str:
        """What it was measured on."""
        cpu = self.machine_info.get("cpu")
        if not isinstance(cpu, dict):
            return str(cpu)
        return f"{cpu.get('brand_raw') or self.machine_info.get('processor')}, {cpu.get('count')} cores"


def read_benchmarks(path: Path) -> BenchmarkFile:
    """Read a file of pytest-benchmark.

    Raises:
        UsageError: If it is unreadable or something else.
    """
    try:
        return BenchmarkFile.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); `make bench-speed` writes one") from None
    except ValidationError as error:
        raise UsageError(describe_validation_error(path, error)) from None
    except ValueError:
        raise UsageError(f"{path}: not a file of pytest-benchmark (not JSON)") from None


def newest() -> Path:
    """The file that ``make bench-speed`` left last.

    Raises:
        UsageError: If there is none.
    """
    found = sorted(FOLDER.glob("**/*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UsageError(f"--benchmarks: nothing in {FOLDER}/; `make bench-speed` measures")
    return found[-1]


def benchmark_findings(before: Path, now: Path | None, limits: dict[str, Limit]) -> Iterator[Finding]:
    """Each benchmark of ``before`` beside that of ``now``: slower by more than allowed and than it scatters fails.

    Raises:
        UsageError: If a file cannot be read, or no limit of speed is given.
    """
    if "throughput" not in limits:
        raise UsageError(
            "--fail-on: a baseline of benchmarks needs a limit of throughput, such as throughput:-10%"
        )
    old, new = read_benchmarks(before), read_benchmarks(now or newest())
    current = {item.fullname: item.stats for item in new.benchmarks}
    for item in old.benchmarks:
        yield _finding(item.fullname, item.stats, current.get(item.fullname), limits["throughput"], (old, new))


def _finding(
    name: str, old: Stats, new: Stats | None, limit: Limit, files: tuple[BenchmarkFile, BenchmarkFile]
) -> Finding:
    figure = "benchmark"
    if files[0].device != files[1].device:
        why = f"{files[0].device} then, {files[1].device} now"
        return Finding(name, figure, NOTHING, NOTHING, NOTHING, SKIPPED, why)
    if new is None:
        return Finding(name, figure, f"{1000 * old.median:,.4g} ms", NOTHING, NOTHING, OPEN, "is not measured now")
    if min(old.median, new.median) <= 0:
        return Finding(name, figure, NOTHING, NOTHING, NOTHING, OPEN, "took no time, says the file")
    # As shares of the speed of before, not of time.
    shares = old.iqr / old.median, new.iqr / new.median
    outcome = slower_within(1 - old.median / new.median, limit.amount, shares)
    return Finding(
        name,
        figure,
        f"{1000 * old.median:,.4g} ms",
        f"{1000 * new.median:,.4g} ms",
        f"{100 * (old.median / new.median - 1):+z.1f} %",
        outcome,
        f"it scatters by {shares[0]:.0%} and {shares[1]:.0%}" if outcome == OPEN else "",
    )
