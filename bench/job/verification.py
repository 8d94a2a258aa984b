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
from bench.job.accounting import LearnedStateCheck, TrainingState
from bench.job.curves import check_step_values
from bench.job.foreign import refuse_foreign
from bench.job.guard import Guard
from bench.job.loading import config_values
from bench.job.prediction import batch_dependence, decode, latent, predict, rebuild
from bench.job.state import capture_state, restore_state
from bench.job.training import final_weights, train_one_step
from bench.job.workload import DRY_IMAGES, Workload
from bench.measure.cost import macs_per_image, measured_flops, stored_scalars
from bench.measure.environment import capture_environment
from bench.measure.sampling import recorded_calls


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
        self.tested: list[str] = []
        self.guard = Guard()  # before the submission's code is loaded
        self.work = Workload(spec)
        self.spec, self.submission = self.work.spec, self.work.submission
        self.config = config_values(self.submission)

    def run(self) -> Verification:
        """Build, take two steps, rebuild, and compare; a problem that leaves nothing to measure is raised."""
        model = self.work.start()
        state, flops = self._dry_training(model)
        cost = self._cost(model, state, flops)
        self._check_caps(cost)
        self._check_rebuilt(model)
        self._check_checkpoint(model)
        self.guard.refuse_changes()
        training = inference = None
        if self.spec.speed_seconds > 0 and not self.problems:
            model.eval()
            inference = self.work.inference_speed(model, cost.evaluations_per_sample)
            training = self.work.training_speed()
        return Verification(
            config=self.config,
            cost=cost,
            problems=self.problems,
            tested=self.tested,
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
        values = train_one_step(self.submission, self.work.batches, self.spec, 0)
        for hook in hooks:
            hook.remove()
        check_step_values(values)
        if not torch.isfinite(values["loss"]):
            raise ContractError(f"train_step returned a loss of {values['loss'].item()} in its first step")
        state.refuse_hidden()
        flops = measured_flops(lambda: train_one_step(self.submission, self.work.batches, self.spec, 1))
        learned.refuse_changes(model)
        TrainingState(self.submission, model).refuse_hidden()
        for name in sorted(set(vars(self.submission)) - attributes):
            raise ContractError(f"self.{name} is created in train_step; a resumed run needs it from init_training")
        self.tested.append("two training steps")
        return state, flops

    def _cost(self, model: nn.Module, state: TrainingState, training_flops: int) -> Cost:
        """Parameters, stored scalars and multiply-accumulates of one image."""
        was_training = model.training
        model.eval()
        self._refuse_foreign(model)
        params, stored = state.count(), stored_scalars(model)
        if isinstance(self.submission, Classifier):
            evaluations, macs = 1, macs_per_image(_Predict(self.submission, model), (self.work.images[:1],))
        else:
            sampling = self.work.sampling_cost(model)
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
        images, labels = self.work.images[:1], self.work.labels[:1]
        if isinstance(self.submission, Classifier):
            submission = self.submission
            refuse_foreign(model, [images], lambda: submission.predict(model, images))
            return
        with recorded_calls(model, real=1):
            refuse_foreign(model, [labels], lambda: self.work.sample(model, labels))

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
            classes, images = self.spec.data.num_classes, self.work.images[:DRY_IMAGES]
            same = torch.equal(
                predict(self.submission, rebuilt, images, classes),
                predict(self.submission, again, images, classes),
            )
            reference = self._trained_copy_predicts(model, weights, images)
            same = same and torch.equal(reference, predict(self.submission, rebuilt, images, classes))
            independent, change = batch_dependence(self.submission, rebuilt, images, classes)
            if independent:
                self.tested.append("batch independence")
            else:
                message = f"predictions depend on the rest of the batch: a logit moved by {change:.3g}"
                self.problems.append(Problem(status="contract", message=message))
        else:
            same = torch.equal(*(self._few_evaluations(network) for network in (rebuilt, again)))
        if not same:
            raise ContractError(
                "a network rebuilt from final_weights behaves otherwise: something that matters is in no "
                "state dict (a plain tensor, or randomness in predict or sample)"
            )
        kind = "predictions" if isinstance(self.submission, Classifier) else "samples"
        self.tested.append(f"the same {kind} from a network rebuilt from the weights")
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

    def _few_evaluations(self, model: nn.Module) -> Tensor:
        """Four samples whose network is evaluated twice and then repeats itself: enough to see what differs."""
        with recorded_calls(model, real=2):
            return self.work.sample(model, self.work.labels[:4])

    def _check_latents(self, model: nn.Module) -> None:
        """Interpolations are made with ``latent`` and ``decode``, which have to be what ``sample`` does."""
        submission, labels = self.submission, self.work.labels[:4]
        if isinstance(submission, Classifier) or not submission.interpolates():
            return
        generator = torch.Generator(self.work.device).manual_seed(0)
        with recorded_calls(model, real=2):
            latents = latent(submission, model, labels, generator)
            decoded = decode(submission, model, latents, labels, generator, self.spec.data.image_shape)
        if not torch.equal(decoded, self._few_evaluations(model)):
            raise ContractError("decode of latent gives other images than sample does with the same generator")
        self.tested.append("decode of latent as sample")

    def _check_checkpoint(self, model: nn.Module) -> None:
        """Saving and restoring must work before anybody waits an hour for it."""
        restore_state(self.submission, model, capture_state(self.submission, model))
        self.tested.append("checkpoint")


def verify(spec: JobSpec) -> None:
    """Run the verify phase and write its report."""
    verifier = Verifier(spec)
    report = verifier.run()
    write_bytes(spec.work / REPORT["verify"], report.model_dump_json(indent=1).encode())
