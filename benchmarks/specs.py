"""What benchmarks run of submissions, and in what environment."""

import os

from bench.contract.jobs import JobSpec
from bench.contract.tracks import load_tracks
from bench.files import REPOSITORY
from bench.run.discovery import discover
from bench.run.executors.local import ALLOCATOR
from bench.run.speeds import found_first
from bench.run.verify_command import verification_spec

DEVICE = os.environ.get("BENCH_BENCHMARK_DEVICE", "cpu")  # or cuda, for `python -m benchmarks --on-a-gpu`


def bare_environment() -> dict[str, str]:
    """What a user's own script would be started with: nothing of threads, nothing of the allocator."""
    kept = {name: text for name, text in os.environ.items() if name not in ALLOCATOR and "NUM_THREADS" not in name}
    return {**kept, "PYTHONPATH": found_first(REPOSITORY)}


def spec_of(name: str, **fields: object) -> JobSpec:
    """A submission at its official budget, on ``DEVICE``; ``fields`` replace those of the specification."""
    (found,), _ = discover([REPOSITORY / "submissions" / name], load_tracks())
    return verification_spec(found, "base", DEVICE).model_copy(update=fields)
