"""``python -m benchmarks.growth``: time and memory for growing numbers of steps, submissions, seeds and records.

The output is JSON. Each size has a separate process, so that its peak memory can be measured.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.files import REPOSITORY

SIZES = {
    "steps of a training": (100, 1_000, 10_000, 100_000),
    "submissions of a command": (1, 10, 100, 1_000),
    "seeds of a command": (1, 10, 100, 1_000),
    "records, compared for the first time": (10, 100, 1_000, 10_000),
    "records, compared again": (10, 100, 1_000, 10_000),
}
# Folder and size -> the function whose time and memory are measured.
Measured = Callable[[Path, int], Callable[[], object]]


def steps(folder: Path, size: int) -> Callable[[], object]:
    """Train a network that takes almost no time, so that the harness's own time is measured."""
    import torch

    from bench.job.phases.training import Trainer
    from tests.job.making_jobs import make_spec

    torch.set_num_threads(1)
    spec = make_spec(folder, steps=size)
    return lambda: Trainer(spec).run()


def submissions(folder: Path, size: int) -> Callable[[], object]:
    """Plan one seed of ``size`` submissions."""
    return lambda: plan(folder, size, 1)


def seeds(folder: Path, size: int) -> Callable[[], object]:
    """Plan ``size`` seeds of one submission."""
    return lambda: plan(folder, 1, size)


def plan(folder: Path, count: int, seeds_each: int) -> object:
    from bench.contract.tracks import load_tracks
    from bench.harness.config import RunConfig
    from bench.harness.planning.planner import make_plan
    from bench.harness.submissions.discovery import discover
    from tests.making import write_submission, write_track

    tracks = load_tracks(write_track(folder))
    paths = [write_submission(folder, f"net{index}") for index in range(count)]
    started = time.perf_counter()
    sources, _ = discover(paths, tracks)
    config = RunConfig(
        profile="quick", seeds=f"0-{seeds_each - 1}", device="cpu", results=folder / "results", data_root=folder
    )
    run_plan = make_plan(sources, config)
    assert len(run_plan.jobs) == count * seeds_each
    return time.perf_counter() - started


def records(folder: Path, size: int) -> Callable[[], object]:
    """Create a table from a results folder, whose records another process has written, to exclude its memory."""
    from bench.report.compare import comparison_text
    from bench.report.records.aggregate import summarize
    from bench.report.records.load import read_brief

    return lambda: comparison_text(summarize(read_brief(folder / "results")[0]))


MEASURED: dict[str, Measured] = {
    "steps of a training": steps,
    "submissions of a command": submissions,
    "seeds of a command": seeds,
    "records, compared for the first time": records,
    "records, compared again": records,
}


def measure(name: str, folder: Path, size: int) -> dict[str, float]:
    """Return the seconds of the work without imports, and the peak memory of this process."""
    work = MEASURED[name](folder, size)
    started = time.perf_counter()
    result = work()
    seconds = result if isinstance(result, float) else time.perf_counter() - started
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def in_process(name: str, folder: Path, size: int) -> dict[str, float]:
    """Call ``measure`` in a separate process."""
    command = [sys.executable, "-m", "benchmarks.growth", name, str(folder), str(size)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    completed = subprocess.run(command, check=True, capture_output=True, text=True, env=variables, cwd=REPOSITORY)
    measured: dict[str, float] = json.loads(completed.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measure all sizes; with arguments, measure one size in this process."""
    if len(sys.argv) > 1:
        name, folder, size = sys.argv[1:]
        print(json.dumps(measure(name, Path(folder), int(size))))
        return
    table: dict[str, dict[int, dict[str, float]]] = {name: {} for name in SIZES}
    for name in ("steps of a training", "submissions of a command", "seeds of a command"):
        for size in SIZES[name]:
            with tempfile.TemporaryDirectory(prefix="capbench-growth-") as folder:
                table[name][size] = in_process(name, Path(folder), size)
    first, again = "records, compared for the first time", "records, compared again"
    for size in SIZES[first]:
        with tempfile.TemporaryDirectory(prefix="capbench-growth-") as folder:
            write = (
                f"import sys; from pathlib import Path; from benchmarks.test_reports import write_records as w; \
w(Path(sys.argv[1]), {size})"
            )
            subprocess.run([sys.executable, "-c", write, f"{folder}/results"], check=True, cwd=REPOSITORY)
            table[first][size] = in_process(first, Path(folder), size)
            table[again][size] = in_process(again, Path(folder), size)
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
