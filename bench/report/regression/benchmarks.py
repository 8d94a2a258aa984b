"""Speeds measured by pytest-benchmark: ``make bench-speed`` writes them, ``bench check`` compares them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.contract.documents.schema import parse_json
from bench.contract.documents.validation import describe_validation_error
from bench.errors import UsageError
from bench.report.regression.findings import OPEN, SKIPPED, Finding, RegressionCheck, slower_within
from bench.report.tables.text import MISSING

FOLDER = Path(".benchmarks")


class Stats(BaseModel):
    """The times of one benchmark, in seconds per call."""

    median: float
    iqr: float


class Benchmark(BaseModel):
    """One benchmark."""

    fullname: str
    stats: Stats


class BenchmarkFile(BaseModel):
    """The fields of a pytest-benchmark file (versions 4 and 5) that are used; others are ignored."""

    machine_info: dict[str, Any]
    benchmarks: list[Benchmark]

    @property
    def device(self) -> str:
        """The processor and its number of cores."""
        cpu = self.machine_info.get("cpu")
        if not isinstance(cpu, dict):
            return str(cpu)
        return f"{cpu.get('brand_raw') or self.machine_info.get('processor')}, {cpu.get('count')} cores"


def read_benchmarks(path: Path) -> BenchmarkFile:
    """Read a pytest-benchmark file.

    Raises:
        UsageError: If it is unreadable or has another format.
    """
    try:
        return BenchmarkFile.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); create it with `make bench-speed`") from None
    except ValidationError as error:
        raise UsageError(describe_validation_error(path, error)) from None
    except ValueError:
        raise UsageError(f"{path}: not a pytest-benchmark file (not JSON)") from None


def newest() -> Path:
    """Return the latest file of ``make bench-speed``.

    Raises:
        UsageError: If there is none.
    """
    files = sorted(FOLDER.glob("**/*.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise UsageError(f"--benchmarks: no file in {FOLDER}/; create one with `make bench-speed`")
    return files[-1]


def benchmark_findings(before: Path, now: Path | None, limits: dict[str, RegressionCheck]) -> Iterator[Finding]:
    """Yield the comparison of each benchmark of ``before`` with the same one of ``now``.

    A benchmark fails if it is slower by more than the limit and the noise of both measurements.

    Raises:
        UsageError: If a file cannot be read, or ``limits`` has none for throughput.
    """
    if "throughput" not in limits:
        raise UsageError(
            "--fail-on: a pytest-benchmark baseline needs a throughput limit, such as throughput:-10%"
        )
    old, new = read_benchmarks(before), read_benchmarks(now or newest())
    current = {item.fullname: item.stats for item in new.benchmarks}
    for item in old.benchmarks:
        yield _finding(item.fullname, item.stats, current.get(item.fullname), limits["throughput"], (old, new))


def _finding(
    name: str, old: Stats, new: Stats | None, limit: RegressionCheck, files: tuple[BenchmarkFile, BenchmarkFile]
) -> Finding:
    metric = "benchmark"
    if files[0].device != files[1].device:
        reason = f"measured on {files[0].device} before, on {files[1].device} now"
        return Finding(name, metric, MISSING, MISSING, MISSING, SKIPPED, reason)
    if new is None:
        return Finding(name, metric, f"{1000 * old.median:,.4g} ms", MISSING, MISSING, OPEN, "not measured now")
    if min(old.median, new.median) <= 0:
        return Finding(name, metric, MISSING, MISSING, MISSING, OPEN, "a median time is not positive")
    # Relative to the speed before, not to the time.
    noise = old.iqr / old.median, new.iqr / new.median
    outcome = slower_within(1 - old.median / new.median, limit.amount, noise)
    return Finding(
        name,
        metric,
        f"{1000 * old.median:,.4g} ms",
        f"{1000 * new.median:,.4g} ms",
        f"{100 * (old.median / new.median - 1):+z.1f} %",
        outcome,
        f"too noisy: interquartile ranges of {noise[0]:.0%} and {noise[1]:.0%}" if outcome == OPEN else "",
    )
