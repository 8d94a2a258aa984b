"""The train phase: exactly the budget's steps, then the final weights."""

import random
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.contract.jobs import CHECKPOINT, PROGRESS_FOLDER, REPORT, WEIGHTS, JobSpec, TrainingReport
from bench.contract.submission import Batch, Budget, Generator
from bench.data.batches import BatchStream
from bench.data.parts import read_labelled
from bench.errors import ContractError
from bench.files import atomic_path, hash_file, write_bytes
from bench.job.accounting import TrainingState
from bench.job.channel import Channel
from bench.job.checkpoint import load_checkpoint, run_id, save_checkpoint
from bench.job.curves import CurveLog, check_step_values
from bench.job.execution import compile_modules, precision_of
from bench.job.final import final_weights
from bench.job.generation import Sampler
from bench.job.graphing import CudaRecorder, StepGraph, Take
from bench.job.guard import Guard
from bench.job.learned import LearnedState
from bench.job.loading import AnySubmission, build_network, data_spec, load_submission, seed_everything
from bench.job.parts import earlier_parts, with_part
from bench.job.prediction import rebuild
from bench.job.rebuilding import Rebuilt
from bench.job.state import capture_state, refuse_changed_kinds, restore_state, undisturbed
from bench.measure.environment import capture_environment, peak_memory_bytes
from bench.pictures import save_sheet
from bench.seeding import derive_seed

DRY_IMAGES = 16  # that networks are compared on


@dataclass
class Progress:
    """Where a training is; all of it is in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    resumes: int = 0
    updates: dict[str, int] = field(default_factory=dict)  # optimizer -> steps that it has taken
    parts: list[dict[str, Any]] = field(default_factory=list)  # see bench/job/parts.py


class Trainer:
    """One training. ``run`` reads as its own summary; everything else serves it."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.device = torch.device(spec.device)
        self.run_id = run_id(spec)
        self.guard = Guard()
        self.submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        assert spec.data.train_images is not None and spec.data.train_labels is not None
        data = read_labelled(spec.data.train_images, spec.data.train_labels)
        self.images = torch.from_numpy(data.images).to(self.device)
        self.labels = torch.from_numpy(data.labels).to(self.device)
        self.budget = Budget(
            steps=spec.steps,
            batch_size=self.submission.config.batch_size,
            train_images=len(self.labels),
        )
        self.batches = BatchStream(self.images, self.labels, batch_size=self.budget.batch_size, seed=spec.seed)
        self.last_step = spec.steps if spec.until is None else min(spec.until, spec.steps)  # for now
        self.log = CurveLog(self.budget.steps)
        self.progress = Progress()
        self.channel = Channel()
        # Of a generator, after a 16th, an eighth, a quarter and half of the steps.
        shares = (16, 8, 4, 2) if isinstance(self.submission, Generator) else ()
        self.grid_steps = {self.budget.steps // share for share in shares}
        self.environment = capture_environment(spec.device, spec.machine)
        self.kinds: dict[str, str] = {}  # place -> what init_training has put there

    def run(self) -> TrainingReport:
        """Train and leave the weights in the work folder."""
        model = start_training(self.submission, self.spec, self.budget, self.device)
        params_before = TrainingState(self.submission, model).count().total
        learned = LearnedState(model)
        self.kinds = capture_state(self.submission, model)["kinds"]
        self._resume(model)
        TrainingState(self.submission, model).count_updates(self.progress.updates)
        self._begin_part()
        self._train(model)
        state = TrainingState(self.submission, model)
        state.refuse_hidden()
        self.guard.refuse_changes()
        params_after = state.count().total
        if params_after != params_before:
            raise ContractError(f"{params_before:,} parameters before training, {params_after:,} after it")
        weights = final_weights(self.submission, model)
        if self.last_step == self.budget.steps:
            self._refuse_another(model, weights)
        return self._report(weights, params_after + sum(learned.trained_buffers(weights).values()))

    def _refuse_another(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """What training has set on the network, and no weights carry, would be lost in the evaluated one."""
        images, labels = self.images[:DRY_IMAGES], self.labels[:DRY_IMAGES]
        rebuilt = Rebuilt(self.submission, self.spec, weights, images, labels)
        # Compiling it for this once would take a minute.
        plainly = torch.compiler.set_stance("force_eager") if self.spec.execution.compiled else nullcontext()
        with plainly:
            rebuilt.refuse_another(model, exactly=False)

    def _train(self, model: nn.Module) -> None:
        take = stepper(self.submission, model, self.batches, self.spec, self.progress.updates)
        steps, started = self.last_step, time.perf_counter()
        saved = started
        before = self.progress.seconds
        for step in range(self.progress.step, steps):
            self.log.add(step, take(step))
            self.channel.progress("train", step + 1, self.budget.steps, self.log.last_loss)
            if step + 1 in self.grid_steps:
                paused = time.perf_counter()
                self._save_grid(model, step + 1)
                started += time.perf_counter() - paused  # not part of training
            now = time.perf_counter()
            if now - saved >= self.spec.checkpoint_seconds or step + 1 == steps:
                saved = now
                self.progress.step, self.progress.seconds = step + 1, before + now - started
                self._checkpoint(model)

    def _save_grid(self, model: nn.Module, step: int) -> None:
        """Samples of the weights as they are now, for a person to see it learn; training goes on undisturbed."""
        kept = random.getstate(), np.random.get_state()
        submission = load_submission(self.spec.folder, self.spec.protocol.task, self.spec.overrides)
        assert isinstance(submission, Generator)
        with undisturbed(self.submission, model):  # taking the weights may leave an optimizer in another mode
            weights = final_weights(self.submission, model)
        rebuilt = rebuild(submission, self.spec, weights)
        grid = Sampler(submission, rebuilt, self.spec, self.channel).grid()
        save_sheet(grid.numpy(), self.spec.work / PROGRESS_FOLDER / f"step-{step:06}.png")
        random.setstate(kept[0])
        np.random.set_state(kept[1])

    def _checkpoint(self, model: nn.Module) -> None:
        state = capture_state(self.submission, model)
        refuse_changed_kinds(self.kinds, state)
        content: dict[str, Any] = {"progress": vars(self.progress), "log": self.log.state(), "state": state}
        save_checkpoint(self.spec.work / CHECKPOINT, self.run_id, content)

    def _resume(self, model: nn.Module) -> None:
        content = load_checkpoint(self.spec.work / CHECKPOINT, self.run_id, self.device)
        if content is None:
            return
        restore_state(self.submission, model, content["state"])
        self.log.restore(content["log"])
        self.progress = Progress(**content["progress"])
        self.progress.resumes += 1

    def _begin_part(self) -> None:
        conditions = {**self.environment, "execution": self.spec.execution.model_dump()}
        self.progress.parts = with_part(self.progress.parts, self.progress.step, conditions)

    def _report(self, weights: dict[str, Tensor], params: int) -> TrainingReport:
        path = self.spec.work / WEIGHTS
        with atomic_path(path) as partial:
            save_file(weights, partial)
        return TrainingReport(
            steps=self.last_step,
            batch_size=self.budget.batch_size,
            epochs=self.budget.epochs,
            params_after=params,
            curves=self.log.result(),
            weights_sha256=hash_file(path),
            updates=self.progress.updates,
            seconds=self.progress.seconds,
            resumes=self.progress.resumes,
            peak_memory_bytes=peak_memory_bytes(self.spec.device),
            environment={**self.environment, **self._earlier()},
        )

    def _earlier(self) -> dict[str, Any]:
        """What of the training was computed under other conditions than the rest, if anything was."""
        earlier = earlier_parts(self.progress.parts)
        return {"earlier_parts": earlier} if earlier else {}


def start_training(submission: AnySubmission, spec: JobSpec, budget: Budget, device: torch.device) -> nn.Module:
    """Build the network and let the submission prepare, each from its own random stream."""
    seed_everything(spec.seed, "init")
    model = build_network(submission, data_spec(spec.data), device).train()
    seed_everything(spec.seed, "init-training")
    submission.init_training(model, budget)
    if spec.execution.compiled:
        compile_modules(submission, model, spec)
    return model


def train_one_step(submission: AnySubmission, batches: BatchStream, spec: JobSpec, step: int) -> dict[str, Tensor]:
    """One budget step, its random numbers a function of (seed, step) alone."""
    seed_generators(derive_seed(spec.seed, "step", step), batches.device)
    images, labels = batches.batch(step)
    if spec.execution.compiled:
        torch.compiler.cudagraph_mark_step_begin()  # what graphs gave in the last step may be overwritten
    with precision_of(spec.execution, images.device):
        values = submission.train_step(Batch(images, labels), step)
    check_step_values(values)
    return values


def stepper(
    submission: AnySubmission, model: nn.Module, batches: BatchStream, spec: JobSpec, updates: dict[str, int]
) -> Take:
    """What takes the step of a number, computed as ``spec`` says.

    Args:
        submission, model: A training that is begun, or was gone on with.
        batches: Its data.
        spec: The job.
        updates: Counts the steps of each optimizer, by name.
    """
    if not spec.execution.graphed:
        return lambda step: train_one_step(submission, batches, spec, step)
    graph = StepGraph(submission, model, batches, updates, CudaRecorder())
    return lambda step: graphed_step(graph, spec, step)


def graphed_step(graph: StepGraph, spec: JobSpec, step: int) -> dict[str, Tensor]:
    """As ``train_one_step``, by a graph."""
    seed_generators(derive_seed(spec.seed, "step", step), graph.batches.device)
    return graph.take(step, lambda: precision_of(spec.execution, graph.batches.device))


def seed_generators(seed: int, device: torch.device) -> None:
    """What ``torch.manual_seed`` does for the devices in use, without asking for all others, which takes 75 µs."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def train(spec: JobSpec) -> None:
    """Run the train phase and write its report."""
    report = Trainer(spec).run()
    write_bytes(spec.work / REPORT["train"], report.model_dump_json(indent=1).encode())
