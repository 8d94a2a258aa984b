"""Check that a network rebuilt from the final weights alone computes the same as the trained one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Classifier
from bench.errors import ContractError
from bench.job.inference.prediction import decode, latent, predict, rebuild, sample
from bench.job.loading import AnySubmission
from bench.job.steps.numerics import may_be_nondeterministic
from bench.measure.cost.sampling_cost import recorded_calls

SAMPLES = 4  # only the first two network evaluations are computed; that is enough to find a difference
# Relative tolerance. A compiled network rounds differently, but by less; a different network exceeds it.
ROUNDED = 1e-2


class RebuiltNetwork:
    """A network rebuilt from the final weights, and its comparison with the trained network.

    Args:
        submission: The submission that was trained.
        spec: The job.
        weights: The final weights.
        images: (B, C, H, W) uint8, the inputs on which classifiers are compared.
        labels: (B,) int64, the classes for which generators are compared.
    """

    def __init__(
        self,
        submission: AnySubmission,
        spec: JobSpec,
        weights: dict[str, Tensor],
        images: Tensor,
        labels: Tensor,
    ) -> None:
        self.submission, self.spec, self.weights = submission, spec, weights
        self.images, self.labels = images, labels
        self.fresh: AnySubmission = type(submission)(submission.config)  # as in the evaluation process
        self.network = rebuild(self.fresh, spec, weights)

    @cached_property
    def nondeterministic(self) -> bool:
        """Whether repeating the computation gives different bits, as some GPU kernels do."""
        if not may_be_nondeterministic(self.images.device):
            return False
        return not torch.equal(self.outputs(self.network), self.outputs(self.network))

    def outputs(self, network: nn.Module) -> Tensor:
        """Return (B, num_classes) float32 logits, or at most (SAMPLES, C, H, W) samples as float32.

        Raises:
            ContractError: If ``predict`` or ``sample`` reads an attribute that only training sets.
        """
        try:
            if isinstance(self.fresh, Classifier):
                return predict(self.fresh, network, self.images, self.spec.data.num_classes)
            with recorded_calls(network, real=2):
                images = sample(self.fresh, network, self.labels[:SAMPLES], 0, self.spec.data.image_shape)
            return images.float()
        except AttributeError as error:
            if error.obj is not self.fresh:
                raise
            raise ContractError(
                f"predict, sample, latent or decode reads self.{error.name}, which only training sets; evaluation "
                "has self.config and the network alone: register it in build_model as a buffer or parameter"
            ) from None

    def check_same_network(self, model: nn.Module, *, exactly: bool) -> None:
        """Refuse a trained ``model`` whose outputs differ from the rebuilt network's for the same weights.

        Args:
            model: The network after training.
            exactly: Whether outputs must be bit-identical, also those of a second rebuilt network; otherwise they
                may differ by rounding (``ROUNDED``).

        Raises:
            ContractError: If outputs differ, with the likely causes.
        """
        rebuilt = self.outputs(self.network)
        with _as_evaluated(model, self.weights):
            trained = self.outputs(model)
        again = self.outputs(rebuild(self.fresh, self.spec, self.weights)) if exactly else rebuilt
        same = (
            torch.equal(rebuilt, trained) and torch.equal(rebuilt, again) if exactly else _close(rebuilt, trained)
        )
        if not same:
            raise ContractError(
                "the network rebuilt from final_weights gives other outputs than the trained network: either some "
                "state is missing from the state dict (a plain tensor, a number or mode that training sets on a "
                "module), or predict or sample is random; register state as buffers, set modes in build_model, "
                "and draw random numbers only from the generator that sample receives"
            )

    def check_decode(self) -> bool:
        """Check that ``decode`` of ``latent`` gives the same images as ``sample``.

        Returns:
            True; False if the submission is no generator that interpolates, so that nothing was checked.

        Raises:
            ContractError: If the images differ.
        """
        submission, labels = self.fresh, self.labels[:SAMPLES]
        if isinstance(submission, Classifier) or not submission.interpolates():
            return False
        generator = torch.Generator(labels.device).manual_seed(0)
        with recorded_calls(self.network, real=2):
            latents = latent(submission, self.network, labels, generator)
            decoded = decode(submission, self.network, latents, labels, generator, self.spec.data.image_shape)
        decoded, sampled = decoded.float(), self.outputs(self.network)
        if not (_close(decoded, sampled) if self.nondeterministic else torch.equal(decoded, sampled)):
            raise ContractError(
                "decode(latent(...)) gives other images than sample with a generator of the same seed; make "
                "sample call latent, then decode"
            )
        return True


def _close(expected: Tensor, actual: Tensor) -> bool:
    """Return whether two outputs are equal up to rounding: mean absolute difference ≤ ROUNDED × mean size."""
    return bool((expected - actual).abs().mean() <= ROUNDED * expected.abs().mean().clamp_min(1.0))


@contextmanager
def _as_evaluated(model: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """Give the trained network the final weights, in eval mode and without gradients, within the block."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    model.load_state_dict(weights)
    model.eval()
    for parameter in trained:  # torch multiplies in another order if a gradient is required
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        model.load_state_dict(before)
        for module, mode in modes:
            module.training = mode
