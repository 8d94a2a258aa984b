"""Five trainings on all cores: one after another with all cores each, or in parallel as in ``bench run``."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.files import REPOSITORY
from bench.harness.commands.measure_speeds import python_path, submission_worker
from bench.harness.config import RunConfig
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.local import environment
from bench.harness.planning.devices import choose_jobs, usable_cores
from benchmarks.specs import DEVICE, spec_of
from benchmarks.versus import versus

SEEDS, STEPS = 5, 100
STEPS_PER_ROUND = 25 if DEVICE == "cpu" else 200  # of each training, without its start


def training(threads: int) -> None:
    command = [sys.executable, "-m", "benchmarks.one_training", str(threads), str(STEPS)]
    variables = {**environment(threads), "PYTHONPATH": python_path(REPOSITORY)}
    subprocess.run(command, check=True, env=variables, capture_output=True)


def one_after_another() -> None:
    for _ in range(SEEDS):
        training(usable_cores())


def test_five_trainings_that_go_on(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Take steps in five parallel processes, compared with one process that has the machine alone."""
    with ExitStack() as stack:
        workers = []
        for seed in range(SEEDS):
            spec = spec_of("se_dsconv", work=tmp_path / str(seed), seed=seed)
            workers.append(stack.enter_context(submission_worker(spec, REPOSITORY, f"seed {seed}")))

        def together() -> None:
            with ThreadPoolExecutor(SEEDS) as pool:
                list(pool.map(lambda worker: worker.seconds("train", STEPS_PER_ROUND), workers))

        def alone() -> None:
            for _ in range(SEEDS):
                workers[0].seconds("train", STEPS_PER_ROUND)

        what = f"{SEEDS} trainings of se_dsconv side by side, {STEPS_PER_ROUND} steps of each, one thread each"
        versus(benchmark, together, {"one after another": alone}, what=what, rounds=6, gpu_goal=2.5)


def test_five_seeds(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    jobs, threads = choose_jobs(None, "cpu", SEEDS)
    config = RunConfig(device="cpu", results=tmp_path, data_root=tmp_path, jobs=jobs, threads=threads)
    parallel = replace(config, jobs_chosen=True)
    what = f"{SEEDS} trainings of {STEPS} steps of se_dsconv, the start of their processes included"
    alternatives = {f"one after another, {usable_cores()} threads each": one_after_another}

    def ours() -> None:
        side_by_side(training, [threads] * SEEDS, parallel.jobs_at_once)

    versus(benchmark, ours, alternatives, what=what, goal=1.3, rounds=6, warm_up=False)
