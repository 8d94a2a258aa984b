"""The verify phase: contract, caps and cost in seconds, on made-up images, before anything is trained."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract.jobs import REPORT, Execution, JobSpec, Problem, Verification
from bench.contract.manifest import BASE_VARIANT
from bench.contract.records import Cost, Rate, over_caps
from bench.contract.submission import Budget, Classifier
from bench.data.batches import BatchStream
from bench.errors import ContractError
from bench.files import write_bytes
from bench.job.accounting import LearnedStateCheck, TrainingState
from bench.job.curves import check_step_values
from bench.job.execution import Choice, Step, choose_execution
from bench.job.foreign import refuse_foreign
from bench.job.guard import Guard
from bench.job.loading import config_values, load_submission
from bench.job.prediction import batch_dependence, decode, latent, predict, rebuild, sample
from bench.job.state import capture_state, restore_state
from bench.job.training import final_weights, start_training, train_one_step
from bench.measure.cost import macs_per_image, measured_flops, stored_scalars
from bench.measure.environment import capture_environment
from bench.measure.sampling import SamplingCost, recorded_calls, sampling_cost
from bench.measure.throughput import Throughput, measure_throughput

UNLIMITED_STEPS = 10**6
DRY_IMAGES = 16
MANY_EVALUATIONS = 8  # from here on the speed of sampling is that of one network evaluation


class _Predict(nn.Module):
    """``predict`` as a module, which is what the counters trace: nothing that it does goes uncounted."""

    def __init__(self, submission: Classifier[Any], model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._predict = submission.predict

    def forward(self, images: Tensor) -> Tensor:
        return self._predict(self.model, images)


@dataclass(frozen=True)
class InferenceCall:
    """What is timed as inference."""

    run: Callable[[], object]
    images: int  # a call
    one_evaluation: bool = False  # of the network, of which a sample takes many


class Verifier:
    """One verification. ``run`` reads as its own summary."""

    def __init__(self, spec: JobSpec) -> None:
        plain = Execution(precision=spec.execution.precision)  # counters cannot look into what is compiled
        self.spec = spec = spec.model_copy(update={"execution": plain})
        self.device = torch.device(spec.device)
        self.problems: list[Problem] = []
        self.over_caps: list[str] = []
        self.guard = Guard()
        self.submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        self.config = config_values(self.submission)
        self.budget = Budget(steps=spec.steps, batch_size=self.submission.config.batch_size, train_images=50_000)
        generator = torch.Generator().manual_seed(0)
        shape, classes = spec.data.image_shape, spec.data.num_classes
        count = max(DRY_IMAGES, self.budget.batch_size)
        images = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, classes, (count,), generator=generator)
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self.batches = BatchStream(self.images, self.labels, batch_size=self.budget.batch_size, seed=spec.seed)

    def run(self) -> Verification:
        """Build, take two steps, rebuild, and compare; a problem that leaves nothing to measure is raised."""
        model = start_training(self.submission, self.spec, self.budget, self.device)
        state, flops = self._dry_training(model)
        cost = self._cost(model, state, flops)
        self._check_caps(cost)
        self._check_rebuilt(model)
        self._check_checkpoint(model)
        self.guard.refuse_changes()
        training = inference = None
        if self.spec.speed_seconds > 0 and not self.problems:
            inference, training = self._inference_speed(model, cost), self._training_speed()
        return Verification(
            config=self.config,
            cost=cost,
            problems=self.problems,
            over_caps=self.over_caps,
            training_steps_per_s=training and training.rate,
            inference_images_per_s=inference,
            execution=training.execution if training else self.spec.execution,
            tried=training.tried if training else {},
            environment=capture_environment(self.spec.device),
        )

    def _dry_training(self, model: nn.Module) -> tuple[TrainingState, int]:
        """Two training steps under watch; the state found, and the FLOPs of the second step."""
        state = TrainingState(self.submission, model)
        state.refuse_hidden()
        learned, attributes = LearnedStateCheck(model), set(vars(self.submission))
        hooks = state.watch_gradients()
        values = train_one_step(self.submission, self.batches, self.spec, 0)
        for hook in hooks:
            hook.remove()
        check_step_values(values)
        if not torch.isfinite(values["loss"]):
            raise ContractError(f"train_step returned a loss of {values['loss'].item()} in its first step")
        state.refuse_hidden()
        flops = measured_flops(lambda: train_one_step(self.submission, self.batches, self.spec, 1))
        learned.refuse_changes(model)
        TrainingState(self.submission, model).refuse_hidden()
        for name in sorted(set(vars(self.submission)) - attributes):
            raise ContractError(f"self.{name} is created in train_step; a resumed run needs it from init_training")
        return state, flops

    def _cost(self, model: nn.Module, state: TrainingState, training_flops: int) -> Cost:
        """Parameters, stored scalars and multiply-accumulates of one image."""
        was_training = model.training
        model.eval()
        self._refuse_foreign(model)
        params, stored = state.count(), stored_scalars(model)
        if isinstance(self.submission, Classifier):
            evaluations, macs = 1, macs_per_image(_Predict(self.submission, model), (self.images[:1],))
        else:
            sampling = self.sampling_cost(model)
            evaluations, macs = sampling.evaluations, sampling.macs
        model.train(was_training)
        return Cost(
            params=params.total,
            params_by_module=dict(params.by_module),
            inference_params=stored.parameters,
            inference_buffers=stored.buffers,
            inference_plain=stored.plain,
            macs_per_image=macs.macs,
            macs_by_operator=macs.by_operator,
            elementwise_ops_per_image=macs.elementwise_ops,
            uncounted_operators=macs.uncounted,
            evaluations_per_sample=evaluations,
            training_flops_per_step=training_flops,
        )

    def _refuse_foreign(self, model: nn.Module) -> None:
        images, labels = self.images[:1], self.labels[:1]
        if isinstance(self.submission, Classifier):
            submission = self.submission
            refuse_foreign(model, [images], lambda: submission.predict(model, images))
            return
        with recorded_calls(model, real=1):
            refuse_foreign(model, [labels], lambda: self._sample(model, labels))

    def sampling_cost(self, model: nn.Module) -> SamplingCost:
        """Of one image, by a generator's ``model`` in eval mode."""
        return sampling_cost(model, lambda: self._sample(model, self.labels[:1]))

    def _check_caps(self, cost: Cost) -> None:
        """A submission has to keep the caps; a variant of it may leave them, and is measured and marked."""
        exceeded = over_caps(self.spec.protocol, cost, self.spec.steps)
        if self.spec.variant == BASE_VARIANT:
            self.problems += [Problem(status="cap", message=message) for message in exceeded]
        else:
            self.over_caps = exceeded

    def _check_rebuilt(self, model: nn.Module) -> None:
        """A network rebuilt from the final weights must be the one that was trained."""
        weights = final_weights(self.submission, model)
        rebuilt = rebuild(self.submission, self.spec, weights)
        again = rebuild(self.submission, self.spec, weights)
        if isinstance(self.submission, Classifier):
            classes, images = self.spec.data.num_classes, self.images[:DRY_IMAGES]
            same = torch.equal(
                predict(self.submission, rebuilt, images, classes),
                predict(self.submission, again, images, classes),
            )
            reference = self._trained_copy_predicts(model, weights, images)
            same = same and torch.equal(reference, predict(self.submission, rebuilt, images, classes))
            independent, change = batch_dependence(self.submission, rebuilt, images, classes)
            if not independent:
                self.problems.append(
                    Problem(
                        status="contract",
                        message=f"predictions depend on the rest of the batch: a logit moved by {change:.3g}",
                    )
                )
        else:
            same = torch.equal(*(self._few_evaluations(network) for network in (rebuilt, again)))
        if not same:
            raise ContractError(
                "a network rebuilt from final_weights behaves otherwise: something that matters is in no "
                "state dict (a plain tensor, or randomness in predict or sample)"
            )
        self._check_latents(rebuilt)

    def _trained_copy_predicts(self, model: nn.Module, weights: dict[str, Tensor], images: Tensor) -> Tensor:
        """What the trained network itself predicts with its final weights; it is left as it was."""
        assert isinstance(self.submission, Classifier)
        kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        was_training = model.training
        model.load_state_dict(weights)
        logits = predict(self.submission, model.eval(), images, self.spec.data.num_classes)
        model.load_state_dict(kept)
        model.train(was_training)
        return logits

    def _sample(self, model: nn.Module, labels: Tensor) -> Tensor:
        assert not isinstance(self.submission, Classifier)
        return sample(self.submission, model, labels, 0, self.spec.data.image_shape)

    def _few_evaluations(self, model: nn.Module) -> Tensor:
        """Four samples whose network is evaluated twice and then repeats itself: enough to see what differs."""
        with recorded_calls(model, real=2):
            return self._sample(model, self.labels[:4])

    def _check_latents(self, model: nn.Module) -> None:
        """Interpolations are made with ``latent`` and ``decode``, which have to be what ``sample`` does."""
        submission, labels = self.submission, self.labels[:4]
        if isinstance(submission, Classifier) or not submission.interpolates():
            return
        generator = torch.Generator(self.device).manual_seed(0)
        with recorded_calls(model, real=2):
            latents = latent(submission, model, labels, generator)
            decoded = decode(submission, model, latents, labels, generator, self.spec.data.image_shape)
        if not torch.equal(decoded, self._few_evaluations(model)):
            raise ContractError("decode of latent gives other images than sample does with the same generator")

    def _check_checkpoint(self, model: nn.Module) -> None:
        """Saving and restoring must work before anybody waits an hour for it."""
        restore_state(self.submission, model, capture_state(self.submission, model))

    def _training_speed(self) -> Choice:
        dtype = {"fp32": "float32", "bf16": "bfloat16"}[self.spec.execution.precision]
        return choose_execution(self.spec, self.training_step, lambda step: self._rate(step, items=1, dtype=dtype))

    def training_step(self, execution: Execution | None = None) -> Step:
        """What takes one step of a training of its own, as often as it is called.

        Its budget cannot run out: some schedules refuse a step beyond theirs.
        """
        submission = load_submission(self.spec.folder, self.spec.protocol.task, self.spec.overrides)
        budget = replace(self.budget, steps=UNLIMITED_STEPS)
        spec = self.spec.model_copy(update={"execution": execution or self.spec.execution})
        start_training(submission, spec, budget, self.device)
        step = iter(range(UNLIMITED_STEPS))

        def one_step() -> dict[str, Tensor]:
            return train_one_step(submission, self.batches, spec, next(step))

        return one_step

    def _inference_speed(self, model: nn.Module, cost: Cost) -> Rate:
        model.eval()
        evaluations = cost.evaluations_per_sample
        call = self.inference_call(model, evaluations)
        rate = self._rate(call.run, items=call.images)
        if not call.one_evaluation:
            return rate
        return rate.model_copy(
            update={"median_per_s": rate.median_per_s / evaluations, "iqr_per_s": rate.iqr_per_s / evaluations}
        )

    def inference_call(self, model: nn.Module, evaluations: int) -> "InferenceCall":
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
            return InferenceCall(lambda: self._sample(model, labels), count)
        with recorded_calls(model, real=1) as calls:
            self._sample(model, labels)
        call = max(calls.by_size.values(), key=lambda call: call.count)

        def evaluate() -> object:
            with torch.no_grad():
                return model(*call.args, **call.kwargs)

        return InferenceCall(evaluate, call.images, one_evaluation=True)

    def _rate(self, function: Callable[[], object], items: int, dtype: str = "float32") -> Rate:
        measured: Throughput = measure_throughput(
            function, items_per_call=items, warmup_calls=1, max_seconds=self.spec.speed_seconds
        )
        return Rate(
            median_per_s=measured.median_per_s,
            iqr_per_s=measured.iqr_per_s,
            blocks=measured.blocks,
            calls_per_block=measured.calls_per_block,
            items_per_call=items,
            dtype=dtype,
            neighbours=measured.neighbours,
        )


def verify(spec: JobSpec) -> None:
    """Run the verify phase and write its report."""
    verifier = Verifier(spec)
    report = verifier.run()
    write_bytes(spec.work / REPORT["verify"], report.model_dump_json(indent=1).encode())
