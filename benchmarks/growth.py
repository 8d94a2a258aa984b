"""``python -m benchmarks.growth``: time and memory against steps, submissions, seeds and records, as JSON.

Each size is measured in a process of its own, whose peak memory is its own.
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
# From a folder and a size to the work whose time and memory are measured.
Measured = Callable[[Path, int], Callable[[], object]]


def steps(folder: Path, size: int) -> Callable[[], object]:
    """The train phase of a network that takes next to no time, so that what grows is the harness's."""
    import torch

    from bench.job.training import Trainer
    from tests.job.making_jobs import make_spec

    torch.set_num_threads(1)
    spec = make_spec(folder, steps=size)
    return lambda: Trainer(spec).run()


def submissions(folder: Path, size: int) -> Callable[[], object]:
    """From paths to a plan."""
    return lambda: plan(folder, size, 1)


def seeds(folder: Path, size: int) -> Callable[[], object]:
    """From one path to a plan."""
    return lambda: plan(folder, 1, size)


def plan(folder: Path, count: int, seeds_each: int) -> object:
    from bench.contract.tracks import load_tracks
    from bench.run.discovery import discover
    from bench.run.plan import make_plan
    from bench.run.settings import Settings
    from tests.making import write_submission, write_track

    tracks = load_tracks(write_track(folder))
    paths = [write_submission(folder, f"net{index}") for index in range(count)]
    started = time.perf_counter()
    found, _ = discover(paths, tracks)
    settings = Settings("quick", f"0-{seeds_each - 1}", "base", "cpu", folder / "results", folder)
    made, _ = make_plan(found, settings)
    assert len(made.jobs()) == count * seeds_each
    return time.perf_counter() - started


def records(folder: Path, size: int) -> Callable[[], object]:
    """From a folder to a table. Writing the records is left to another process, for its memory."""
    from bench.report.compare import comparison_text
    from bench.report.reading import read_brief
    from bench.report.summary import summarize

    return lambda: comparison_text(summarize(read_brief(folder / "results")[0]))


MEASURED: dict[str, Measured] = {
    "steps of a training": steps,
    "submissions of a command": submissions,
    "seeds of a command": seeds,
    "records, compared for the first time": records,
    "records, compared again": records,
}


def measure(name: str, folder: Path, size: int) -> dict[str, float]:
    """In this process: seconds of the work without imports, and the peak of the whole process."""
    work = MEASURED[name](folder, size)
    started = time.perf_counter()
    answer = work()
    seconds = answer if isinstance(answer, float) else time.perf_counter() - started
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def in_process(name: str, folder: Path, size: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", name, str(folder), str(size)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables, cwd=REPOSITORY)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """All sizes of everything."""
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
