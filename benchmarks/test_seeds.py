"""Five trainings on this machine's cores: one after another with all cores each, or as ``bench run`` does it."""

import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.files import REPOSITORY
from bench.run.devices import choose_jobs, usable_cores
from bench.run.executors.local import environment
from bench.run.settings import Settings
from bench.run.side_by_side import side_by_side
from benchmarks.versus import versus

SEEDS, STEPS = 5, 100


def training(threads: int) -> None:
    command = [sys.executable, "-m", "benchmarks.one_training", str(threads), str(STEPS)]
    variables = {**environment(threads), "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, check=True, env=variables, capture_output=True)


def one_after_another() -> None:
    for _ in range(SEEDS):
        training(usable_cores())


def test_five_seeds(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    jobs, threads = choose_jobs(None, "cpu", SEEDS)
    settings = Settings("official", None, "base", "cpu", tmp_path, tmp_path, jobs=jobs, threads=threads)
    shared = settings.with_jobs(jobs, threads, crowded=True)
    what = f"{SEEDS} trainings of {STEPS} steps of se_dsconv, the start of their processes included"
    rivals = {f"one after another, {usable_cores()} threads each": one_after_another}

    def ours() -> None:
        side_by_side(training, [threads] * SEEDS, shared.jobs_at_once)

    versus(benchmark, ours, rivals, what=what, goal=1.3, rounds=6, warm_up=False)
