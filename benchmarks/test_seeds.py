"""Five trainings on this machine's cores: one after another with all cores each, or as ``bench run`` does it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.files import REPOSITORY
from bench.run.devices import choose_jobs, usable_cores
from bench.run.executors.local import environment
from bench.run.settings import Settings
from bench.run.side_by_side import side_by_side
from bench.run.speeds import found_first, submission_worker
from benchmarks.specs import DEVICE, spec_of
from benchmarks.versus import versus

SEEDS, STEPS = 5, 100
GOING_ON = 25 if DEVICE == "cpu" else 500  # steps of each in a round of trainings that have begun


def training(threads: int) -> None:
    command = [sys.executable, "-m", "benchmarks.one_training", str(threads), str(STEPS)]
    variables = {**environment(threads), "PYTHONPATH": found_first(REPOSITORY)}
    subprocess.run(command, check=True, env=variables, capture_output=True)


def one_after_another() -> None:
    for _ in range(SEEDS):
        training(usable_cores())


def test_five_trainings_that_go_on(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """In a process each, with a thread, at the same time; the rival is one of them that has the machine alone."""
    with ExitStack() as stack:
        workers = []
        for seed in range(SEEDS):
            spec = spec_of("se_dsconv", work=tmp_path / str(seed), seed=seed)
            workers.append(stack.enter_context(submission_worker(spec, REPOSITORY, f"seed {seed}")))

        def together() -> None:
            with ThreadPoolExecutor(SEEDS) as pool:
                list(pool.map(lambda worker: worker.seconds("train", GOING_ON), workers))

        def alone() -> None:
            for _ in range(SEEDS):
                workers[0].seconds("train", GOING_ON)

        what = f"{SEEDS} trainings of se_dsconv side by side, {GOING_ON} steps of each, one thread each"
        versus(benchmark, together, {"one after another": alone}, what=what, rounds=6, gpu_goal=2.5)


def test_five_seeds(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    jobs, threads = choose_jobs(None, "cpu", SEEDS)
    settings = Settings("official", None, "base", "cpu", tmp_path, tmp_path, jobs=jobs, threads=threads)
    shared = settings.with_jobs(jobs, threads, crowded=True)
    what = f"{SEEDS} trainings of {STEPS} steps of se_dsconv, the start of their processes included"
    rivals = {f"one after another, {usable_cores()} threads each": one_after_another}

    def ours() -> None:
        side_by_side(training, [threads] * SEEDS, shared.jobs_at_once)

    versus(benchmark, ours, rivals, what=what, goal=1.3, rounds=6, warm_up=False)
