"""A training step in the harness, compared with a loop written by hand and with the usual code of papers."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.jobs.files import CHECKPOINT
from bench.contract.jobs.spec import Execution, JobSpec, Precision
from bench.contract.submission import Batch, Submission
from bench.data.arrays import write_array
from bench.files import REPOSITORY
from bench.harness.commands.measure_speeds import Worker, submission_worker
from bench.harness.planning.devices import usable_cores
from bench.job.phases.training import Trainer, start_training
from bench.job.speed import timed_calls
from bench.job.steps.cuda_graph import EAGER_STEPS
from benchmarks.specs import DEVICE, bare_environment, spec_of
from benchmarks.versus import WorkItem, versus

STEPS = 20  # per round
if DEVICE == "cpu":
    WAYS = {"bf16": Execution(precision="bf16"), "compiled": Execution(compiled=True)}
    NETWORKS = ["se_dsconv", "inverted_residual_se", "resnet20", "dcgan_000", "convnext_ddpm"]
else:
    WAYS = {"graph": Execution(graphed=True)}
    NETWORKS = ["se_dsconv", "baby_mobilenet", "cnn6"]
# Between two checkpoints; a training saves one every 30 seconds.
LOOP_STEPS = STEPS if DEVICE == "cpu" else 60


@pytest.mark.parametrize("what", ["train", "infer"])
def test_se_dsconv(benchmark: BenchmarkFixture, what: str) -> None:
    """Measure a speed without an alternative, for `bench check --baseline`."""
    work = timed_calls(spec_of("se_dsconv"))
    benchmark.pedantic(work[what], warmup_rounds=2, rounds=20)


def test_harness_beside_a_loop_by_hand(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Measure the cost of budget, order of images, seeding, logging, progress, and one checkpoint per round."""
    spec = training_spec(tmp_path)
    versus(
        benchmark,
        harness_training(spec),
        {"the same step in a loop by hand": bare_training(spec)},
        what=f"{LOOP_STEPS} training steps of se_dsconv, batch 128, one thread, and a checkpoint",
        goal=0.98,
        gpu_goal=0.98,
    )


def training_spec(folder: Path) -> JobSpec:
    images = torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8).numpy()
    labels = torch.randint(0, 100, (50_000,)).numpy()
    spec = spec_of("se_dsconv", work=folder, steps=LOOP_STEPS)
    arrays = {
        "train_images": write_array(images, folder / "parts", "images"),
        "train_labels": write_array(labels, folder / "parts", "labels"),
    }
    return spec.model_copy(update={"data": spec.data.model_copy(update=arrays)})


def harness_training(spec: JobSpec) -> WorkItem:
    trainer = Trainer(spec)
    model = start_training(trainer.submission, spec, trainer.budget, trainer.device)
    log = trainer.log

    def train() -> None:
        trainer.progress.step, trainer.log = 0, type(log)(LOOP_STEPS)
        trainer._train(model)

    return train


def bare_training(spec: JobSpec) -> WorkItem:
    trainer = Trainer(spec)  # only its data and its submission are used
    submission, images, labels = trainer.submission, trainer.images, trainer.labels
    start_training(submission, spec, trainer.budget, trainer.device)

    def train() -> list[float]:
        order, losses = torch.randperm(len(labels), device=labels.device), []
        for step in range(LOOP_STEPS):
            indices = order[128 * step : 128 * (step + 1)]
            values = submission.train_step(Batch(images[indices], labels[indices]), step)
            losses.append(values["loss"])
        return torch.stack(losses).tolist()

    return train


def test_checkpoint(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Measure the checkpoint that a training writes every 30 seconds."""
    trainer = Trainer(training_spec(tmp_path))
    model = start_training(trainer.submission, trainer.spec, trainer.budget, trainer.device)
    benchmark.pedantic(lambda: trainer._checkpoint(model), rounds=20)
    size = (trainer.spec.work / CHECKPOINT).stat().st_size
    benchmark.extra_info["what"] = f"one checkpoint of se_dsconv, {size / 1e6:.1f} MB, flushed to disk"


@pytest.mark.parametrize("precision", [p for p in get_args(Precision) if p != "tf32" or DEVICE != "cpu"])
def test_step_beside_what_authors_write(benchmark: BenchmarkFixture, tmp_path: Path, precision: Precision) -> None:
    """Use all cores; each method has a separate process with its own environment, and they run alternately."""
    cores = usable_cores()
    methods = {"DataLoader with 2 workers, PIL, eager float32": "pictures-2"}
    if precision == "fp32":
        methods |= {
            "the same without workers": "pictures-0",
            "batched augmentation instead": "batched",
            "and channels-last order": "channels-last",
        }
    with ExitStack() as stack:

        def started(worker: Worker) -> WorkItem:
            stack.enter_context(worker)
            return lambda: worker.seconds("train", STEPS)

        def theirs(method: str) -> WorkItem:
            command = [sys.executable, "-m", "benchmarks.papers_step", method]
            log = tmp_path / f"{method}.log"
            return started(Worker(command, method, cwd=REPOSITORY, variables=bare_environment(), log=log))

        execution = Execution(precision=precision, graphed=DEVICE != "cpu")
        spec = spec_of("se_dsconv", work=tmp_path / "ours", threads=cores, execution=execution)
        ours = started(submission_worker(spec, REPOSITORY, "ours"))
        what = f"{STEPS} training steps of se_dsconv, batch 128, {cores} threads, {precision}"
        what += ", as one CUDA graph" if execution.graphed else ""
        alternatives = {name: theirs(method) for name, method in methods.items()}
        versus(benchmark, ours, alternatives, what=what, goal=2.5, gpu_goal=15)


@pytest.mark.filterwarnings("ignore")  # warnings of the compiler, which would fail the test
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_ways_to_compute_a_step(benchmark: BenchmarkFixture, tmp_path: Path, name: str, way: str) -> None:
    """Compare with eager float32 on one thread; the result depends on network, device and versions."""
    plain, other = (
        timed_calls(spec_of(name, work=tmp_path, execution=e))["train"] for e in (Execution(), WAYS[way])
    )
    versus(benchmark, other, {"eager float32": plain}, what=f"a training step of {name}, {way}", rounds=6)


@pytest.mark.skipif(DEVICE == "cpu", reason="on a CPU channels_last is faster")
@pytest.mark.parametrize("name", NETWORKS)
def test_order_in_memory(
    benchmark: BenchmarkFixture, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare the orders of convolution weights and images, both as one CUDA graph in float32 without TF32."""
    spec = spec_of(name, work=tmp_path, execution=Execution(graphed=True))
    last = timed_calls(spec)["train"]
    for _ in range(EAGER_STEPS + 1):
        last()  # recorded now, before the name changes its meaning for code that runs later
    monkeypatch.setattr(torch, "channels_last", torch.contiguous_format)  # images and all networks of the step
    monkeypatch.setattr(Submission, "memory_format", torch.contiguous_format)
    contiguous = timed_calls(spec)["train"]
    versus(benchmark, contiguous, {"channels_last": last}, what=f"a training step of {name}, contiguous", rounds=6)
