"""Whether a network rebuilt from the final weights alone is the one that was trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.contract.jobs import JobSpec
from bench.contract.submission import Classifier
from bench.errors import ContractError
from bench.job.loading import AnySubmission
from bench.job.numerics import may_vary
from bench.job.prediction import decode, latent, predict, rebuild, sample
from bench.measure.sampling import recorded_calls

SAMPLES = 4  # whose network is evaluated twice and then repeats itself: enough to see what differs
# The trained network may be a compiled one, which rounds otherwise. Another network is further away.
ROUNDED = 1e-2


class Rebuilt:
    """A network from the final weights, beside the trained one.

    Args:
        submission: Whose weights they are.
        spec: The job.
        weights: All that is left of the training.
        images, labels: (B, C, H, W) uint8 and (B,) int64, to ask both about.
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
        self.network = rebuild(submission, spec, weights)

    @cached_property
    def varies(self) -> bool:
        """Whether the network gives other bits when the same is asked again, as kernels of a GPU may."""
        if not may_vary(self.images.device):
            return False
        return not torch.equal(self.answers(self.network), self.answers(self.network))

    def answers(self, network: nn.Module) -> Tensor:
        """Logits, or samples as float32."""
        if isinstance(self.submission, Classifier):
            return predict(self.submission, network, self.images, self.spec.data.num_classes)
        with recorded_calls(network, real=2):
            images = sample(self.submission, network, self.labels[:SAMPLES], 0, self.spec.data.image_shape)
        return images.float()

    def refuse_another(self, model: nn.Module, *, exactly: bool) -> None:
        """Refuse if the trained ``model`` answers otherwise with the same weights, or a second one does.

        Args:
            model: As training left it.
            exactly: In all bits; else but for rounding.

        Raises:
            ContractError: Saying where to look.
        """
        own = self.answers(self.network)
        with _as_evaluated(model, self.weights):
            trained = self.answers(model)
        again = self.answers(rebuild(self.submission, self.spec, self.weights)) if exactly else own
        same = torch.equal(own, trained) and torch.equal(own, again) if exactly else _alike(own, trained)
        if not same:
            raise ContractError(
                "a network rebuilt from final_weights behaves otherwise than the trained one: something that "
                "matters is in no state dict (a plain tensor, a number or mode that training sets on a module, or "
                "randomness in predict or sample)"
            )

    def interpolates_as_it_samples(self) -> bool:
        """Whether there is anything to interpolate; ``decode`` of ``latent`` has to be what ``sample`` does.

        Raises:
            ContractError: If it is not.
        """
        submission, labels = self.submission, self.labels[:SAMPLES]
        if isinstance(submission, Classifier) or not submission.interpolates():
            return False
        generator = torch.Generator(labels.device).manual_seed(0)
        with recorded_calls(self.network, real=2):
            latents = latent(submission, self.network, labels, generator)
            decoded = decode(submission, self.network, latents, labels, generator, self.spec.data.image_shape)
        decoded, drawn = decoded.float(), self.answers(self.network)
        if not (_alike(decoded, drawn) if self.varies else torch.equal(decoded, drawn)):
            raise ContractError("decode of latent gives other images than sample does with the same generator")
        return True


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two answers are the same but for rounding."""
    return bool((one - other).abs().mean() <= ROUNDED * one.abs().mean().clamp_min(1.0))


@contextmanager
def _as_evaluated(model: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """The trained network meanwhile has the final weights, and is in the mode of the rebuilt one."""
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    model.load_state_dict(weights)
    model.eval()
    for parameter in trained:  # torch multiplies in another order where it is on
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        model.load_state_dict(kept)
        for module, mode in modes:
            module.training = mode
