"""The verify phase: check contract and caps and measure cost on synthetic images, in seconds, before training."""

from typing import Any

import torch
from torch import Tensor, nn

from bench.contract.jobs.files import REPORT
from bench.contract.jobs.reports import Problem, StoredTensor, Verification
from bench.contract.jobs.spec import JobSpec
from bench.contract.manifest import BASE_VARIANT
from bench.contract.records.caps import over_caps
from bench.contract.records.record import Cost
from bench.contract.submission import Classifier
from bench.errors import ContractError
from bench.files import write_bytes
from bench.job.channel import wait_for_turn
from bench.job.checkpoints.state import preserved_state
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.checks.external_tensors import check_external_tensors
from bench.job.checks.monkeypatching import MonkeypatchDetector
from bench.job.checks.rebuilt_network import RebuiltNetwork
from bench.job.checks.resumption import check_resumption
from bench.job.checks.trained_buffers import TrainedBuffers
from bench.job.inference.prediction import batch_dependence, names_of_fixed_shape
from bench.job.loading import config_values, override_errors
from bench.job.phases.training import COMPARED_IMAGES, train_one_step
from bench.job.steps.curves import check_step_values
from bench.job.steps.final_weights import dtype_name, final_weights, safetensors_round_trip
from bench.job.steps.numerics import deterministic_kernels
from bench.job.steps.workload import Workload
from bench.measure.cost.forward_cost import InferenceCost, forward_cost
from bench.measure.cost.operator_counter import Tally, counted
from bench.measure.cost.parameters import ParameterCount, StoredScalars, stored_scalars
from bench.measure.cost.sampling_cost import COMPUTED, EVERY, recorded_calls
from bench.measure.machine.environment import capture_environment
from bench.measure.speed.gpu_load import device_load

DRY_STEPS = 2  # training steps taken before the checks


class _Predict(nn.Module):
    """``predict`` as a module, so that operations outside of the network's ``forward`` are counted too."""

    def __init__(self, submission: Classifier[Any], model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._predict = submission.predict

    def forward(self, images: Tensor) -> Tensor:
        return self._predict(self.model, images)


class Verifier:
    """One verification; ``run`` is the entry point."""

    def __init__(self, spec: JobSpec) -> None:
        self.problems: list[Problem] = []
        self.over_caps: list[str] = []
        self.warnings: list[str] = []
        self.tested: list[str] = []
        self.detector = MonkeypatchDetector()  # before the submission's code is loaded
        self.work = Workload(spec)
        self.spec, self.submission = self.work.spec, self.work.submission
        self.config = config_values(self.submission)
        messages = override_errors(self.submission, spec.declared)
        self.problems += [Problem(status="contract", message=message) for message in messages]

    def run(self) -> Verification:
        """Build the network, take training steps, count the cost, rebuild the network and compare.

        Problems that do not prevent the other measurements are collected in the report.

        Raises:
            ContractError: For a problem that does.
        """
        model = self.work.start()
        with deterministic_kernels(self.work.device):  # for bit-exact comparisons
            state, buffers, step = self._dry_training(model)
            inference, stored = self._inference_cost(model)
            self._check_checkpoint(model)
            with preserved_state(self.submission, model):
                weights = safetensors_round_trip(final_weights(self.submission, model))
                self._check_rebuilt(model, weights)
        params = state.count().plus(buffers.trained_buffers(weights))
        cost = _cost(params, stored, inference, step, weights)
        self._check_caps(cost)
        self.detector.check_unchanged()
        training = images_per_s = load = None
        if self.spec.speed_seconds > 0 and not self.problems:
            if self.spec.compile == "graph":
                self.work.graph_problem()  # the speed measurements need this check, which may overlap with others
            if self.spec.speeds_in_turn:
                wait_for_turn(self.spec.work)
            model.eval()
            images_per_s = self.work.inference_speed(model, cost.evaluations_per_sample)
            training = self.work.training_speed()
            if training.refused is not None:
                self.warnings.append(f"training steps run eagerly, because they cannot be {training.refused}")
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
            final_weights=_stored_tensors(model, weights),
            parameters=[name for name, _ in model.named_parameters() if name in weights],
            environment=capture_environment(self.spec.device, self.spec.machine),
        )

    def _dry_training(self, model: nn.Module) -> tuple[ParameterCounter, TrainedBuffers, Tally]:
        """Take two training steps with the checks for hidden parameters.

        Returns:
            The parameters and the buffers that were watched, and the operations of the second step.
        """
        state = ParameterCounter(self.submission, model)
        state.check_hidden_parameters()
        buffers, attributes = TrainedBuffers(model), set(vars(self.submission))
        hooks, updates = state.watch_gradients(), state.count_updates()
        hooks += buffers.watch_calls()
        values = train_one_step(self.submission, self.work.batches, self.spec, 0)
        check_step_values(values)
        if not torch.isfinite(values["loss"]):
            raise ContractError(
                f"train_step returned a loss of {values['loss'].item()} in its first step; it must be finite"
            )
        state.check_hidden_parameters()
        with counted() as operations:
            train_one_step(self.submission, self.work.batches, self.spec, 1)
        for hook in hooks:
            hook.remove()
        ParameterCounter(self.submission, model).check_hidden_parameters()
        for name in sorted(set(vars(self.submission)) - attributes):
            raise ContractError(
                f"self.{name} is created in train_step; create it in init_training, so that a run can be resumed"
            )
        self.tested.append("two training steps")
        self._warn_of_updates(updates)
        return state, buffers, operations

    def _warn_of_updates(self, updates: dict[str, int]) -> None:
        """Warn about an optimizer that took more steps than ``train_step`` was called."""
        budget = self.spec.protocol.steps
        for name, taken in updates.items():
            if taken > DRY_STEPS:
                self.warnings.append(
                    f"optimizer self.{name} took {taken} steps in {DRY_STEPS} calls of train_step; a run with "
                    f"more than {budget:,} steps of an optimizer is not ranked. To train a critic five times as "
                    "often as a generator, step the critic in every call and the generator in every fifth call"
                )

    def _inference_cost(self, model: nn.Module) -> tuple[InferenceCost, StoredScalars]:
        """Count the operations for one image, and the scalars that the network stores."""
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        self._check_external_tensors(model)
        stored = stored_scalars(model)
        if isinstance(self.submission, Classifier):
            cost = forward_cost(_Predict(self.submission, model), (self.work.images[:1],))
        else:
            cost = self.work.sampling_cost(model)
        for module, mode in modes:
            module.training = mode
        return cost, stored

    def _check_external_tensors(self, model: nn.Module) -> None:
        images, labels = self.work.images[:1], self.work.labels[:1]
        if isinstance(self.submission, Classifier):
            submission = self.submission
            check_external_tensors(model, [images], lambda: submission.predict(model, images))
            return
        with recorded_calls(model, real=COMPUTED, every=EVERY):
            check_external_tensors(model, [labels], lambda: self.work.sample(model, labels))

    def _check_caps(self, cost: Cost) -> None:
        """Record cap violations: as problems of a submission's base variant, as a mark of any other variant."""
        exceeded = over_caps(self.spec.protocol, cost, self.spec.steps, self.work.budget.batch_size)
        if self.spec.variant == BASE_VARIANT:
            self.problems += [Problem(status="cap", message=message) for message in exceeded]
        else:
            self.over_caps = exceeded

    def _check_rebuilt(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Check the network rebuilt from the final weights: same outputs, batch independence, interpolation."""
        images, labels = self.work.images[:COMPARED_IMAGES], self.work.labels[:COMPARED_IMAGES]
        rebuilt = RebuiltNetwork(self.submission, self.spec, weights, images, labels)
        rebuilt.check_same_network(model, exactly=not rebuilt.nondeterministic)
        if rebuilt.nondeterministic:
            self.warnings.append(
                "the network uses a nondeterministic kernel on this device: the rebuilt network is compared up to "
                "rounding only"
            )
        if isinstance(self.submission, Classifier):
            independent, change = batch_dependence(
                self.submission, rebuilt.network, images, self.spec.data.num_classes
            )
            if independent:
                self.tested.append("batch independence")
            else:
                message = (
                    f"predictions depend on the other images in the batch: a logit changed by {change:.3g} when "
                    "they changed; compute the logits of an image from that image alone"
                )
                self.problems.append(Problem(status="contract", message=message))
        kind = "predictions" if isinstance(self.submission, Classifier) else "samples"
        self.tested.append(f"the same {kind} from a network rebuilt from final_weights")
        if rebuilt.check_decode():
            self.tested.append("the same images from decode(latent(...)) and sample")

    def _check_checkpoint(self, model: nn.Module) -> None:
        """Check that training can be resumed from a checkpoint, before a long run depends on it."""
        if check_resumption(self.work, model, DRY_STEPS):
            self.tested.append("bit-identical resume from a checkpoint")
        else:
            self.warnings.append(
                "training is not reproducible on this device: the same step from the same checkpoint gives "
                "different bits"
            )


def _cost(
    params: ParameterCount,
    stored: StoredScalars,
    inference: InferenceCost,
    step: Tally,
    weights: dict[str, Tensor],
) -> Cost:
    """Combine the counts of one image's inference, one training step and the weights into a record's cost."""
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
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights.values()),
    )


def _stored_tensors(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, StoredTensor]:
    """Return dtype and shape of the final weights, which a weights file from elsewhere must have."""
    fixed = names_of_fixed_shape(model)
    return {
        name: StoredTensor(dtype=dtype_name(tensor), shape=list(tensor.shape) if name in fixed else None)
        for name, tensor in weights.items()
    }


def verify(spec: JobSpec) -> None:
    """Run the verify phase and write its report."""
    verifier = Verifier(spec)
    report = verifier.run()
    write_bytes(spec.work / REPORT["verify"], report.model_dump_json(indent=1).encode())
