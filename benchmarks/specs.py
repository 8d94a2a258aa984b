"""Job specifications and environment variables of benchmarks."""

import os

from bench.contract.jobs.spec import JobSpec
from bench.contract.tracks import load_tracks
from bench.files import REPOSITORY
from bench.harness.commands.measure_speeds import python_path
from bench.harness.commands.verify import verification_spec
from bench.harness.executors.local import ALLOCATOR
from bench.harness.submissions.discovery import discover

SECONDS = "BENCH_BENCHMARK_SECONDS"  # environment variable: see benchmarks/__main__.py
DEVICE = os.environ.get("BENCH_BENCHMARK_DEVICE", "cpu")  # or cuda, for `python -m benchmarks --on-a-gpu`


def bare_environment() -> dict[str, str]:
    """Return the environment of a plain script: without settings of threads and the memory allocator."""
    plain = {
        name: text for name, text in os.environ.items() if name not in ALLOCATOR and "NUM_THREADS" not in name
    }
    return {**plain, "PYTHONPATH": python_path(REPOSITORY)}


def spec_of(name: str, **fields: object) -> JobSpec:
    """Return a submission's specification, official budget, on ``DEVICE``; ``fields`` replace its fields."""
    (source,), _ = discover([REPOSITORY / "submissions" / name], load_tracks())
    return verification_spec(source, "base", DEVICE).model_copy(update=fields)
