"""Run a submission on synthetic images, to verify it and to time its training step and inference."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.contract.jobs.spec import Execution, JobSpec
from bench.contract.records.record import Throughput
from bench.contract.submission import Budget, Classifier
from bench.data.batches import BatchStream
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.inference.prediction import predict, sample
from bench.job.loading import AnySubmission, load_submission
from bench.job.phases.training import COMPARED_IMAGES, graphed_step, start_training, step_function
from bench.job.steps.cuda_graph import CudaRecorder, StepGraph, TakeStep, differs_from_eager
from bench.job.steps.execution import ExecutionChoice, Step, choose_execution
from bench.job.steps.numerics import deterministic_kernels
from bench.measure.cost.forward_cost import InferenceCost
from bench.measure.cost.sampling_cost import recorded_calls, sampling_cost
from bench.measure.speed.throughput import measure_throughput

UNLIMITED_STEPS = 10**6
MANY_EVALUATIONS = 8  # above, sampling speed is derived from the time of one network evaluation


@dataclass(frozen=True)
class InferenceCall:
    """The call that is timed as inference."""

    run: Callable[[], object]
    images: int  # images per call
    one_evaluation: bool = False  # whether the call is one of the many network evaluations of a sample


class Workload:
    """A submission with synthetic images, (N, C, H, W) uint8, and labels, (N,) int64, of its data set's shape."""

    def __init__(self, spec: JobSpec) -> None:
        eager = Execution(precision=spec.execution.precision)  # operations of compiled modules cannot be counted
        self.spec = spec = spec.model_copy(update={"execution": eager})
        self.device = torch.device(spec.device)
        self.submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        self.budget = Budget(steps=spec.steps, batch_size=self.submission.config.batch_size, train_images=50_000)
        generator = torch.Generator().manual_seed(0)
        shape, classes = spec.data.image_shape, spec.data.num_classes
        count = max(COMPARED_IMAGES, self.budget.batch_size)
        images = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, classes, (count,), generator=generator)
        self._graph_problem: str | None = ""  # unknown; None for no problem
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self.batches = BatchStream(self.images, self.labels, batch_size=self.budget.batch_size, seed=spec.seed)

    def start(self) -> nn.Module:
        """Build the network and call the submission's ``init_training``; return the network."""
        return start_training(self.submission, self.spec, self.budget, self.device)

    def sample(self, model: nn.Module, labels: Tensor) -> Tensor:
        """Draw a generator's samples of the classes ``labels``, (B,) int64; return (B, C, H, W) uint8."""
        assert not isinstance(self.submission, Classifier)
        return sample(self.submission, model, labels, 0, self.spec.data.image_shape)

    def sampling_cost(self, model: nn.Module) -> InferenceCost:
        """Count the cost of one image from a generator's ``model``, which is in eval mode."""
        return sampling_cost(model, lambda: self.sample(model, self.labels[:1]))

    def training_step(self, execution: Execution) -> Step:
        """Start a separate training; return a function that takes its next step, any number of times.

        Its budget is practically unlimited, because some schedules refuse steps beyond their budget.
        """
        spec = self.spec.model_copy(update={"execution": execution})
        submission, model, updates = self._begin(spec, replace(self.budget, steps=UNLIMITED_STEPS))
        take_step, step = (
            step_function(submission, model, self.batches, spec, updates),
            iter(range(UNLIMITED_STEPS)),
        )
        return lambda: take_step(next(step))

    def _begin(self, spec: JobSpec, budget: Budget) -> tuple[AnySubmission, nn.Module, dict[str, int]]:
        """Start a separate training; return its submission, its network, and optimizer -> steps taken."""
        submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        model = start_training(submission, spec, budget, self.device)
        return submission, model, ParameterCounter(submission, model).count_updates()

    def graph_problem(self) -> str | None:
        """Return the reason why a step cannot be a CUDA graph; None if replayed steps are bit-identical.

        The first call compares them, which takes some seconds.
        """
        if self._graph_problem == "":
            self._graph_problem = self._compare_with_graph()
        return self._graph_problem

    def _compare_with_graph(self) -> str | None:
        def begin(replay: bool) -> tuple[StepGraph, TakeStep]:
            submission, model, updates = self._begin(self.spec, self.budget)
            graph = StepGraph(submission, model, self.batches, updates, CudaRecorder() if replay else None)
            return graph, lambda step: graphed_step(graph, self.spec, step)

        with deterministic_kernels(self.device):
            return differs_from_eager(begin, self.spec.steps)

    def inference_call(self, model: nn.Module, evaluations: float) -> InferenceCall:
        """Return the call to time: prediction or sampling of a batch by ``model``, which is in eval mode.

        For a sampler with more than ``MANY_EVALUATIONS`` it is one network evaluation: a thousand take minutes.

        Args:
            model: The network.
            evaluations: Network evaluations per sample.
        """
        submission = self.submission
        if isinstance(submission, Classifier):
            classes, count = self.spec.data.num_classes, self.spec.speed_images
            images = self.images[torch.arange(count, device=self.device) % len(self.images)]
            return InferenceCall(lambda: predict(submission, model, images, classes), count)
        count = min(self.spec.speed_images, self.spec.protocol.evaluation_batch_size)
        labels = torch.arange(count, device=self.device) % self.spec.data.num_classes
        if evaluations <= MANY_EVALUATIONS:
            return InferenceCall(lambda: self.sample(model, labels), count)
        with recorded_calls(model, real=1) as calls:
            self.sample(model, labels)
        call = max(calls.alike.values(), key=lambda call: call.count)

        def evaluate() -> object:
            with torch.no_grad():
                return model(*call.args, **call.kwargs)

        return InferenceCall(evaluate, call.images, one_evaluation=True)

    def training_speed(self) -> ExecutionChoice:
        """Measure training steps per second with the fastest execution."""
        dtype = {"fp32": "float32", "tf32": "tensorfloat32", "bf16": "bfloat16"}[self.spec.execution.precision]
        measure: Callable[[Step], Throughput] = lambda step: self._rate(step, items=1, dtype=dtype)  # noqa: E731
        return choose_execution(self.spec, self.training_step, measure, self.graph_problem)

    def inference_speed(self, model: nn.Module, evaluations: float) -> Throughput:
        """Measure images per second of ``model``, which is in eval mode, with ``evaluations`` per image."""
        call = self.inference_call(model, evaluations)
        rate = self._rate(call.run, items=call.images)
        if not call.one_evaluation:
            return rate
        return rate.model_copy(
            update={"median_per_s": rate.median_per_s / evaluations, "iqr_per_s": rate.iqr_per_s / evaluations}
        )

    def _rate(self, function: Callable[[], object], items: int, dtype: str = "float32") -> Throughput:
        """Measure items per second of ``function``, which processes ``items`` per call."""
        return measure_throughput(
            function, items_per_call=items, dtype=dtype, warmup_calls=1, max_seconds=self.spec.speed_seconds
        )
