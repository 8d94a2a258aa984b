"""A training step under the harness, beside a loop written by hand, and beside what authors of papers write."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.jobs import CHECKPOINT, Execution, JobSpec, Precision
from bench.contract.submission import Batch
from bench.data.parts import write_array
from bench.files import REPOSITORY
from bench.job.speed import work_of
from bench.job.training import Trainer, start_training
from bench.run.devices import usable_cores
from bench.run.speeds import Worker, submission_worker
from benchmarks.specs import DEVICE, bare_environment, spec_of
from benchmarks.versus import Work, versus

STEPS = 20  # a round


@pytest.mark.parametrize("what", ["train", "infer"])
def test_se_dsconv(benchmark: BenchmarkFixture, what: str) -> None:
    """For `bench check --baseline`: a speed by itself."""
    work = work_of(spec_of("se_dsconv"))
    benchmark.pedantic(work[what], warmup_rounds=2, rounds=20)


def test_harness_beside_a_loop_by_hand(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Budget, order of images, seeding, logging, progress and a checkpoint a round, which is many."""
    spec = training_spec(tmp_path)
    versus(
        benchmark,
        harness_training(spec),
        {"the same step in a loop by hand": bare_training(spec)},
        what=f"{STEPS} training steps of se_dsconv, batch 128, one thread, and a checkpoint",
        goal=0.98,
        gpu_goal=0.98,
    )


def training_spec(folder: Path) -> JobSpec:
    images = torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8).numpy()
    labels = torch.randint(0, 100, (50_000,)).numpy()
    spec = spec_of("se_dsconv", work=folder, steps=STEPS)
    arrays = {
        "train_images": write_array(images, folder / "parts", "images"),
        "train_labels": write_array(labels, folder / "parts", "labels"),
    }
    return spec.model_copy(update={"data": spec.data.model_copy(update=arrays)})


def harness_training(spec: JobSpec) -> Work:
    trainer = Trainer(spec)
    model = start_training(trainer.submission, spec, trainer.budget, trainer.device)
    log = trainer.log

    def train() -> None:
        trainer.progress.step, trainer.log = 0, type(log)(STEPS)
        trainer._train(model)

    return train


def bare_training(spec: JobSpec) -> Work:
    trainer = Trainer(spec)  # for its data and its submission
    submission, images, labels = trainer.submission, trainer.images, trainer.labels
    start_training(submission, spec, trainer.budget, trainer.device)

    def train() -> list[float]:
        order, losses = torch.randperm(len(labels), device=labels.device), []
        for step in range(STEPS):
            indices = order[128 * step : 128 * (step + 1)]
            values = submission.train_step(Batch(images[indices], labels[indices]), step)
            losses.append(values["loss"])
        return torch.stack(losses).tolist()

    return train


def test_checkpoint(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What comes every 30 seconds."""
    trainer = Trainer(training_spec(tmp_path))
    model = start_training(trainer.submission, trainer.spec, trainer.budget, trainer.device)
    benchmark.pedantic(lambda: trainer._checkpoint(model), rounds=20)
    size = (trainer.spec.work / CHECKPOINT).stat().st_size
    benchmark.extra_info["what"] = f"one checkpoint of se_dsconv, {size / 1e6:.1f} MB, flushed to disk"


@pytest.mark.parametrize("precision", [p for p in get_args(Precision) if p != "tf32" or DEVICE != "cpu"])
def test_step_beside_what_authors_write(benchmark: BenchmarkFixture, tmp_path: Path, precision: Precision) -> None:
    """All cores, each way in a process of its own with its own environment, asked by turns."""
    cores = usable_cores()
    ways = {"DataLoader with 2 workers, PIL, eager float32": "pictures-2"}
    if precision == "fp32":
        ways |= {
            "the same without workers": "pictures-0",
            "batched augmentation instead": "batched",
            "and channels-last order": "channels-last",
        }
    with ExitStack() as stack:

        def asked(worker: Worker) -> Work:
            stack.enter_context(worker)
            return lambda: worker.seconds("train", STEPS)

        def theirs(way: str) -> Work:
            command = [sys.executable, "-m", "benchmarks.papers_step", way]
            log = tmp_path / f"{way}.log"
            return asked(Worker(command, way, cwd=REPOSITORY, variables=bare_environment(), log=log))

        execution = Execution(precision=precision)
        spec = spec_of("se_dsconv", work=tmp_path / "ours", threads=cores, execution=execution)
        ours = asked(submission_worker(spec, REPOSITORY, "ours"))
        what = f"{STEPS} training steps of se_dsconv, batch 128, {cores} threads, {precision}"
        rivals = {name: theirs(way) for name, way in ways.items()}
        versus(benchmark, ours, rivals, what=what, goal=2.5, gpu_goal=15)


@pytest.mark.filterwarnings("ignore")  # the compiler's own, which it would fail of
@pytest.mark.parametrize("way", ["bf16", "compiled"])
@pytest.mark.parametrize("name", ["se_dsconv", "inverted_residual_se", "resnet20", "dcgan_000", "convnext_ddpm"])
def test_ways_to_compute_a_step(benchmark: BenchmarkFixture, tmp_path: Path, name: str, way: str) -> None:
    """One thread. It depends on the network, and on device and versions."""
    execution = Execution(precision="bf16") if way == "bf16" else Execution(compiled=True)
    plain, other = (work_of(spec_of(name, work=tmp_path, execution=e))["train"] for e in (Execution(), execution))
    versus(benchmark, other, {"eager float32": plain}, what=f"a training step of {name}, {way}", rounds=6)
