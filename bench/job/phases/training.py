"""The train phase: take exactly the budget's steps, then write the final weights."""

import random
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.contract.jobs.files import CHECKPOINT, PROGRESS_FOLDER, REPORT, WEIGHTS
from bench.contract.jobs.reports import TrainingReport
from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Batch, Budget, Generator
from bench.data.arrays import read_labelled
from bench.data.batches import BatchStream
from bench.errors import ContractError
from bench.files import atomic_path, hash_file, write_bytes
from bench.job.channel import Channel
from bench.job.checkpoints.checkpoint import load_checkpoint, run_id, save_checkpoint
from bench.job.checkpoints.segments import earlier_segments, with_segment
from bench.job.checkpoints.state import capture_state, check_kinds_unchanged, preserved_state, restore_state
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.checks.monkeypatching import MonkeypatchDetector
from bench.job.checks.rebuilt_network import RebuiltNetwork
from bench.job.checks.trained_buffers import TrainedBuffers
from bench.job.inference.prediction import rebuild
from bench.job.inference.sampler import Sampler
from bench.job.loading import AnySubmission, build_network, data_spec, load_submission, seed_everything
from bench.job.steps.cuda_graph import CudaRecorder, StepGraph, TakeStep
from bench.job.steps.curves import CurveLog, check_step_values
from bench.job.steps.execution import compile_modules, precision_of
from bench.job.steps.final_weights import final_weights
from bench.measure.machine.environment import capture_environment, peak_memory_bytes
from bench.pictures import save_sheet
from bench.seeding import derive_seed

COMPARED_IMAGES = 16  # images on which the trained and the rebuilt network are compared


@dataclass
class TrainingProgress:
    """The progress of a training; all fields are saved in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    resumes: int = 0
    updates: dict[str, int] = field(default_factory=dict)  # optimizer -> steps taken
    segments: list[dict[str, Any]] = field(default_factory=list)  # see bench/job/checkpoints/segments.py


class Trainer:
    """One training; ``run`` is the entry point."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.device = torch.device(spec.device)
        self.run_id = run_id(spec)
        self.detector = MonkeypatchDetector()
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
        self.end_step = spec.steps if spec.until is None else min(spec.until, spec.steps)  # of this process
        self.log = CurveLog(self.budget.steps)
        self.progress = TrainingProgress()
        self.channel = Channel()
        # Generators draw a grid of samples after 1/16, 1/8, 1/4 and 1/2 of the steps.
        divisors = (16, 8, 4, 2) if isinstance(self.submission, Generator) else ()
        self.grid_steps = {self.budget.steps // divisor for divisor in divisors}
        self.environment = capture_environment(spec.device, spec.machine)
        self.initial_kinds: dict[str, str] = {}  # attribute path -> class or function after init_training

    def run(self) -> TrainingReport:
        """Train and write the final weights to the work folder.

        Raises:
            ContractError: If the submission breaks a rule that only a training shows.
            Diverged: If a logged value is not finite.
        """
        model = start_training(self.submission, self.spec, self.budget, self.device)
        params_before = ParameterCounter(self.submission, model).count().total
        buffers = TrainedBuffers(model)
        self.initial_kinds = capture_state(self.submission, model)["kinds"]
        self._resume(model)
        ParameterCounter(self.submission, model).count_updates(self.progress.updates)
        self._begin_segment()
        self._train(model)
        counter = ParameterCounter(self.submission, model)
        counter.check_hidden_parameters()
        self.detector.check_unchanged()
        params_after = counter.count().total
        if params_after != params_before:
            raise ContractError(
                f"the parameter count changed during training: {params_before:,} before, {params_after:,} after; "
                "create all parameters in build_model or init_training"
            )
        weights = final_weights(self.submission, model)
        if self.end_step == self.budget.steps:
            self._check_same_network(model, weights)
        return self._report(weights, params_after + sum(buffers.trained_buffers(weights).values()))

    def _check_same_network(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Refuse state of the trained network that the weights omit: the evaluated network would lack it."""
        images, labels = self.images[:COMPARED_IMAGES], self.labels[:COMPARED_IMAGES]
        rebuilt = RebuiltNetwork(self.submission, self.spec, weights, images, labels)
        # Eager, because compiling for this single call would take a minute.
        context = torch.compiler.set_stance("force_eager") if self.spec.execution.compiled else nullcontext()
        with context:
            rebuilt.check_same_network(model, exactly=False)

    def _train(self, model: nn.Module) -> None:
        take_step = step_function(self.submission, model, self.batches, self.spec, self.progress.updates)
        steps, started = self.end_step, time.perf_counter()
        saved = started
        before = self.progress.seconds
        for step in range(self.progress.step, steps):
            self.log.add(step, take_step(step))
            self.channel.progress("train", step + 1, self.budget.steps, self.log.last_loss)
            if step + 1 in self.grid_steps:
                paused = time.perf_counter()
                self._save_grid(model, step + 1)
                # It replaces tensors of the training, whose memory a recorded step would go on to use.
                take_step = step_function(self.submission, model, self.batches, self.spec, self.progress.updates)
                started += time.perf_counter() - paused  # excluded from the training time
            now = time.perf_counter()
            if now - saved >= self.spec.checkpoint_seconds or step + 1 == steps:
                saved = now
                self.progress.step, self.progress.seconds = step + 1, before + now - started
                self._checkpoint(model)

    def _save_grid(self, model: nn.Module, step: int) -> None:
        """Write a grid of samples of the current weights, which shows the progress, without affecting training."""
        random_states = random.getstate(), np.random.get_state()
        submission = load_submission(self.spec.folder, self.spec.protocol.task, self.spec.overrides)
        assert isinstance(submission, Generator)
        with preserved_state(self.submission, model):  # final_weights may switch an optimizer to another mode
            weights = final_weights(self.submission, model)
        rebuilt = rebuild(submission, self.spec, weights)
        grid = Sampler(submission, rebuilt, self.spec, self.channel).grid()
        save_sheet(grid.numpy(), self.spec.work / PROGRESS_FOLDER / f"step-{step:06}.png")
        random.setstate(random_states[0])
        np.random.set_state(random_states[1])

    def _checkpoint(self, model: nn.Module) -> None:
        state = capture_state(self.submission, model)
        check_kinds_unchanged(self.initial_kinds, state)
        content: dict[str, Any] = {"progress": vars(self.progress), "log": self.log.state(), "state": state}
        save_checkpoint(self.spec.work / CHECKPOINT, self.run_id, content)

    def _resume(self, model: nn.Module) -> None:
        content = load_checkpoint(self.spec.work / CHECKPOINT, self.run_id, self.device)
        if content is None:
            return
        restore_state(self.submission, model, content["state"])
        self.log.restore(content["log"])
        self.progress = TrainingProgress(**_current_names(content["progress"]))
        self.progress.resumes += 1

    def _begin_segment(self) -> None:
        conditions = {**self.environment, "execution": self.spec.execution.model_dump()}
        self.progress.segments = with_segment(self.progress.segments, self.progress.step, conditions)

    def _report(self, weights: dict[str, Tensor], params: int) -> TrainingReport:
        path = self.spec.work / WEIGHTS
        with atomic_path(path) as partial:
            save_file(weights, partial)
        return TrainingReport(
            steps=self.end_step,
            batch_size=self.budget.batch_size,
            epochs=self.budget.epochs,
            params_after=params,
            curves=self.log.result(),
            weights_sha256=hash_file(path),
            updates=self.progress.updates,
            seconds=self.progress.seconds,
            resumes=self.progress.resumes,
            peak_memory_bytes=peak_memory_bytes(self.spec.device),
            environment={**self.environment, **self._earlier_segments()},
        )

    def _earlier_segments(self) -> dict[str, Any]:
        """Return the segments of the training that ran under other conditions than the last, if there are any."""
        earlier = earlier_segments(self.progress.segments)
        return {"earlier_segments": earlier} if earlier else {}


def _current_names(progress: dict[str, Any]) -> dict[str, Any]:
    """Return saved progress with current field names: older checkpoints call the segments ``parts``."""
    return {"segments" if name == "parts" else name: value for name, value in progress.items()}


def start_training(submission: AnySubmission, spec: JobSpec, budget: Budget, device: torch.device) -> nn.Module:
    """Build the network and call ``init_training``, each with its own random stream.

    Returns:
        The network in train mode, compiled if ``spec`` says so.
    """
    seed_everything(spec.seed, "init")
    model = build_network(submission, data_spec(spec.data), device).train()
    seed_everything(spec.seed, "init-training")
    submission.init_training(model, budget)
    if spec.execution.compiled:
        compile_modules(submission, model, spec)
    return model


def train_one_step(submission: AnySubmission, batches: BatchStream, spec: JobSpec, step: int) -> dict[str, Tensor]:
    """Take one budget step, with random numbers that depend on (seed, step) alone.

    Returns:
        The checked values that ``train_step`` returned.
    """
    seed_generators(derive_seed(spec.seed, "step", step), batches.device)
    images, labels = batches.batch(step)
    if spec.execution.compiled:
        torch.compiler.cudagraph_mark_step_begin()  # outputs of the last step may be overwritten
    with precision_of(spec.execution, images.device):
        values = submission.train_step(Batch(images, labels), step)
    check_step_values(values)
    return values


def step_function(
    submission: AnySubmission, model: nn.Module, batches: BatchStream, spec: JobSpec, updates: dict[str, int]
) -> TakeStep:
    """Return a function that takes the training step with a given number, eagerly or as a CUDA graph.

    Args:
        submission: The submission after ``init_training`` or a resume.
        model: Its network.
        batches: The training data.
        spec: The job; ``spec.execution.graphed`` selects a CUDA graph.
        updates: Optimizer -> steps taken; a CUDA graph updates it when it is replayed.
    """
    if not spec.execution.graphed:
        return lambda step: train_one_step(submission, batches, spec, step)
    graph = StepGraph(submission, model, batches, updates, CudaRecorder())
    return lambda step: graphed_step(graph, spec, step)


def graphed_step(graph: StepGraph, spec: JobSpec, step: int) -> dict[str, Tensor]:
    """Take one budget step as ``train_one_step`` does, with a CUDA graph."""
    seed_generators(derive_seed(spec.seed, "step", step), graph.batches.device)
    return graph.take(step, lambda: precision_of(spec.execution, graph.batches.device))


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of ``device``.

    ``torch.manual_seed`` queries all other devices too, which takes 75 µs.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def train(spec: JobSpec) -> None:
    """Run the train phase and write its report."""
    report = Trainer(spec).run()
    write_bytes(spec.work / REPORT["train"], report.model_dump_json(indent=1).encode())
