"""A submission on made-up images: what verifying watches, and what is timed: a training step and inference."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from bench.contract.jobs import Execution, JobSpec
from bench.contract.records import Rate
from bench.contract.submission import Budget, Classifier
from bench.data.batches import BatchStream
from bench.job.accounting import TrainingState
from bench.job.execution import Choice, Step, choose_execution
from bench.job.graphing import CudaRecorder, StepGraph, Take, differs_from_eager
from bench.job.loading import AnySubmission, load_submission
from bench.job.numerics import repeatable
from bench.job.prediction import predict, sample
from bench.job.training import DRY_IMAGES, graphed_step, start_training, stepper
from bench.measure.cost import InferenceCost
from bench.measure.sampling import recorded_calls, sampling_cost
from bench.measure.throughput import measure_throughput

UNLIMITED_STEPS = 10**6
MANY_EVALUATIONS = 8  # from here on the speed of sampling is that of one network evaluation


@dataclass(frozen=True)
class InferenceCall:
    """What is timed as inference."""

    run: Callable[[], object]
    images: int  # a call
    one_evaluation: bool = False  # of the network, of which a sample takes many


class Workload:
    """A submission, and images and labels of the shape of its data set: (N, C, H, W) uint8 and (N,) int64."""

    def __init__(self, spec: JobSpec) -> None:
        plain = Execution(precision=spec.execution.precision)  # counters cannot look into what is compiled
        self.spec = spec = spec.model_copy(update={"execution": plain})
        self.device = torch.device(spec.device)
        self.submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        self.budget = Budget(steps=spec.steps, batch_size=self.submission.config.batch_size, train_images=50_000)
        generator = torch.Generator().manual_seed(0)
        shape, classes = spec.data.image_shape, spec.data.num_classes
        count = max(DRY_IMAGES, self.budget.batch_size)
        images = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, classes, (count,), generator=generator)
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self.batches = BatchStream(self.images, self.labels, batch_size=self.budget.batch_size, seed=spec.seed)

    def start(self) -> nn.Module:
        """A network, and the submission's training of it begun."""
        return start_training(self.submission, self.spec, self.budget, self.device)

    def sample(self, model: nn.Module, labels: Tensor) -> Tensor:
        """A generator's samples of the classes ``labels``."""
        assert not isinstance(self.submission, Classifier)
        return sample(self.submission, model, labels, 0, self.spec.data.image_shape)

    def sampling_cost(self, model: nn.Module) -> InferenceCost:
        """Of one image, by a generator's ``model`` in eval mode."""
        return sampling_cost(model, lambda: self.sample(model, self.labels[:1]))

    def training_step(self, execution: Execution) -> Step:
        """What takes one step of a training of its own, as often as it is called.

        Its budget cannot run out: some schedules refuse a step beyond theirs.
        """
        spec = self.spec.model_copy(update={"execution": execution})
        submission, model, updates = self._begin(spec, replace(self.budget, steps=UNLIMITED_STEPS))
        take, step = stepper(submission, model, self.batches, spec, updates), iter(range(UNLIMITED_STEPS))
        return lambda: take(next(step))

    def _begin(self, spec: JobSpec, budget: Budget) -> tuple[AnySubmission, nn.Module, dict[str, int]]:
        """Another training: its submission and network, and what counts its optimizers' steps."""
        submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        model = start_training(submission, spec, budget, self.device)
        return submission, model, TrainingState(submission, model).count_updates()

    def graph_problem(self) -> str | None:
        """Why a step cannot be a CUDA graph; None if one does what it does."""

        def begin(replay: bool) -> tuple[StepGraph, Take]:
            submission, model, updates = self._begin(self.spec, self.budget)
            graph = StepGraph(submission, model, self.batches, updates, CudaRecorder() if replay else None)
            return graph, lambda step: graphed_step(graph, self.spec, step)

        with repeatable(self.device):
            return differs_from_eager(begin, self.spec.steps)

    def inference_call(self, model: nn.Module, evaluations: float) -> InferenceCall:
        """A prediction or sampling of a batch by ``model``, which is in eval mode.

        Of a sampler of many network evaluations it is one of them: a thousand would take minutes.
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

    def training_speed(self) -> Choice:
        """Steps a second, computed the fastest way."""
        dtype = {"fp32": "float32", "tf32": "tensorfloat32", "bf16": "bfloat16"}[self.spec.execution.precision]
        measure: Callable[[Step], Rate] = lambda step: self._rate(step, items=1, dtype=dtype)  # noqa: E731
        return choose_execution(self.spec, self.training_step, measure, self.graph_problem)

    def inference_speed(self, model: nn.Module, evaluations: float) -> Rate:
        """Images a second by ``model``, which is in eval mode, with so many network evaluations each."""
        call = self.inference_call(model, evaluations)
        rate = self._rate(call.run, items=call.images)
        if not call.one_evaluation:
            return rate
        return rate.model_copy(
            update={"median_per_s": rate.median_per_s / evaluations, "iqr_per_s": rate.iqr_per_s / evaluations}
        )

    def _rate(self, function: Callable[[], object], items: int, dtype: str = "float32") -> Rate:
        measured = measure_throughput(
            function, items_per_call=items, warmup_calls=1, max_seconds=self.spec.speed_seconds
        )
        return Rate(**asdict(measured), dtype=dtype)
