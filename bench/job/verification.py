"""The verify phase: contract, caps and cost in seconds, on made-up images, before anything is trained."""

from typing import Any

import torch
from torch import Tensor, nn

from bench.contract.jobs import REPORT, JobSpec, Problem, Verification
from bench.contract.manifest import BASE_VARIANT
from bench.contract.records import Cost, over_caps
from bench.contract.submission import Classifier
from bench.errors import ContractError
from bench.files import write_bytes
from bench.job.accounting import TrainingState
from bench.job.curves import check_step_values
from bench.job.final import final_weights, through_a_file
from bench.job.foreign import refuse_foreign
from bench.job.guard import Guard
from bench.job.learned import LearnedState
from bench.job.loading import config_values, wrongly_declared
from bench.job.numerics import repeatable
from bench.job.prediction import batch_dependence
from bench.job.rebuilding import Rebuilt
from bench.job.resuming import resumes_as_it_was
from bench.job.state import undisturbed
from bench.job.training import DRY_IMAGES, train_one_step
from bench.job.workload import Workload
from bench.measure.cost import InferenceCost, forward_cost
from bench.measure.counting import Tally, counted
from bench.measure.device_load import device_load
from bench.measure.environment import capture_environment
from bench.measure.parameters import ParameterCount, StoredScalars, stored_scalars
from bench.measure.sampling import COMPUTED, EVERY, recorded_calls

DRY_STEPS = 2  # before what they leave is looked at


class _Predict(nn.Module):
    """``predict`` as a module, which is what the counters trace: nothing that it does goes uncounted."""

    def __init__(self, submission: Classifier[Any], model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._predict = submission.predict

    def forward(self, images: Tensor) -> Tensor:
        return self._predict(self.model, images)


class Verifier:
    """One verification. ``run`` reads as its own summary."""

    def __init__(self, spec: JobSpec) -> None:
        self.problems: list[Problem] = []
        self.over_caps: list[str] = []
        self.warnings: list[str] = []
        self.tested: list[str] = []
        self.guard = Guard()  # before the submission's code is loaded
        self.work = Workload(spec)
        self.spec, self.submission = self.work.spec, self.work.submission
        self.config = config_values(self.submission)
        wrong = wrongly_declared(self.submission, spec.declared)
        self.problems += [Problem(status="contract", message=line) for line in wrong]

    def run(self) -> Verification:
        """Build, take three steps, rebuild, and compare; a problem that leaves nothing to measure is raised."""
        model = self.work.start()
        with repeatable(self.work.device):  # or no bits could be compared
            state, learned, step = self._dry_training(model)
            inference, stored = self._inference_cost(model)
            self._check_checkpoint(model)
            with undisturbed(self.submission, model):
                weights = through_a_file(final_weights(self.submission, model))
                self._check_rebuilt(model, weights)
        params = state.count().plus(learned.trained_buffers(weights))
        cost = _cost(params, stored, inference, step)
        self._check_caps(cost)
        self.guard.refuse_changes()
        training = images_per_s = load = None
        if self.spec.speed_seconds > 0 and not self.problems:
            model.eval()
            images_per_s = self.work.inference_speed(model, cost.evaluations_per_sample)
            training = self.work.training_speed()
            if training.refused is not None:
                self.warnings.append(f"computed step by step, for it cannot be {training.refused}")
            load = device_load(self.work.training_step(training.execution), self.spec.device)
        return Verification(
            config=self.config,
            cost=cost,
            problems=self.problems,
            tested=self.tested,
            over_caps=self.over_caps,
            warnings=self.warnings,
            training_steps_per_s=training and training.rate,
            inference_images_per_s=images_per_s,
            execution=training.execution if training else self.spec.execution,
            tried=training.tried if training else {},
            load=load,
            environment=capture_environment(self.spec.device, self.spec.machine),
        )

    def _dry_training(self, model: nn.Module) -> tuple[TrainingState, LearnedState, Tally]:
        """Two training steps under watch; what they changed, and what the second one costs."""
        state = TrainingState(self.submission, model)
        state.refuse_hidden()
        learned, attributes = LearnedState(model), set(vars(self.submission))
        hooks, updates = state.watch_gradients(), state.count_updates()
        hooks += learned.watch_calls()
        values = train_one_step(self.submission, self.work.batches, self.spec, 0)
        check_step_values(values)
        if not torch.isfinite(values["loss"]):
            raise ContractError(f"train_step returned a loss of {values['loss'].item()} in its first step")
        state.refuse_hidden()
        with counted() as ran:
            train_one_step(self.submission, self.work.batches, self.spec, 1)
        for hook in hooks:
            hook.remove()
        TrainingState(self.submission, model).refuse_hidden()
        for name in sorted(set(vars(self.submission)) - attributes):
            raise ContractError(f"self.{name} is created in train_step; a resumed run needs it from init_training")
        self.tested.append("two training steps")
        self._warn_of_updates(updates)
        return state, learned, ran

    def _warn_of_updates(self, updates: dict[str, int]) -> None:
        """An optimizer may take no more steps than the budget has."""
        budget = self.spec.protocol.steps
        for name, taken in updates.items():
            if taken > DRY_STEPS:
                self.warnings.append(
                    f"optimizer self.{name} took {taken} steps in {DRY_STEPS} calls of train_step; a run in which "
                    f"it takes more than {budget:,} is not ranked. To train a critic five times as often as a "
                    "generator, step the critic in every call and the generator in every fifth"
                )

    def _inference_cost(self, model: nn.Module) -> tuple[InferenceCost, StoredScalars]:
        """Multiply-accumulates of one image, and all that the network stores."""
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        self._refuse_foreign(model)
        stored = stored_scalars(model)
        if isinstance(self.submission, Classifier):
            found = forward_cost(_Predict(self.submission, model), (self.work.images[:1],))
        else:
            found = self.work.sampling_cost(model)
        for module, mode in modes:
            module.training = mode
        return found, stored

    def _refuse_foreign(self, model: nn.Module) -> None:
        images, labels = self.work.images[:1], self.work.labels[:1]
        if isinstance(self.submission, Classifier):
            submission = self.submission
            refuse_foreign(model, [images], lambda: submission.predict(model, images))
            return
        with recorded_calls(model, real=COMPUTED, every=EVERY):
            refuse_foreign(model, [labels], lambda: self.work.sample(model, labels))

    def _check_caps(self, cost: Cost) -> None:
        """A submission has to keep the caps; a variant of it may leave them, and is measured and marked."""
        exceeded = over_caps(self.spec.protocol, cost, self.spec.steps)
        if self.spec.variant == BASE_VARIANT:
            self.problems += [Problem(status="cap", message=message) for message in exceeded]
        else:
            self.over_caps = exceeded

    def _check_rebuilt(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """A network rebuilt from the final weights must be the one that was trained."""
        images, labels = self.work.images[:DRY_IMAGES], self.work.labels[:DRY_IMAGES]
        rebuilt = Rebuilt(self.submission, self.spec, weights, images, labels)
        rebuilt.refuse_another(model, exactly=not rebuilt.varies)
        if rebuilt.varies:
            self.warnings.append(
                "a kernel that the network uses gives other bits each time on this device: what was rebuilt is "
                "compared to rounding only"
            )
        if isinstance(self.submission, Classifier):
            independent, change = batch_dependence(
                self.submission, rebuilt.network, images, self.spec.data.num_classes
            )
            if independent:
                self.tested.append("batch independence")
            else:
                message = f"predictions depend on the rest of the batch: a logit moved by {change:.3g}"
                self.problems.append(Problem(status="contract", message=message))
        kind = "predictions" if isinstance(self.submission, Classifier) else "samples"
        self.tested.append(f"the same {kind} from a network rebuilt from the weights")
        if rebuilt.interpolates_as_it_samples():
            self.tested.append("decode of latent as sample")

    def _check_checkpoint(self, model: nn.Module) -> None:
        """Going on from a checkpoint must work before anybody waits an hour for it."""
        if resumes_as_it_was(self.work, model, DRY_STEPS):
            self.tested.append("the same bits from a checkpoint")
        else:
            self.warnings.append(
                "training is not reproducible: from one checkpoint the same step gives other bits"
            )


def _cost(params: ParameterCount, stored: StoredScalars, inference: InferenceCost, step: Tally) -> Cost:
    ran, by_fvcore = inference.ran, inference.by_fvcore
    return Cost(
        params=params.total,
        params_by_module=dict(params.by_module),
        inference_params=stored.parameters,
        inference_buffers=stored.buffers,
        inference_plain=stored.plain,
        macs_per_image=ran.total_macs,
        macs_by_operator=dict(ran.macs),
        elementwise_ops_per_image=by_fvcore.elementwise_ops,
        uncounted_operators=dict(ran.uncounted),
        evaluations_per_sample=inference.evaluations,
        training_flops_per_step=2 * step.total_macs,
        fvcore_macs_per_image=by_fvcore.macs,
        elements_per_image=ran.elements,
        uncounted_share=ran.uncounted_share,
        uncounted_in_training=step.uncounted_share,
        warnings=by_fvcore.against(inference.inside),
    )


def verify(spec: JobSpec) -> None:
    """Run the verify phase and write its report."""
    verifier = Verifier(spec)
    report = verifier.run()
    write_bytes(spec.work / REPORT["verify"], report.model_dump_json(indent=1).encode())
