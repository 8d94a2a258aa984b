"""Rebuilding a trained network in a clean process, and asking it for predictions or samples."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.contract.jobs import JobSpec
from bench.contract.submission import Classifier, Generator
from bench.errors import ContractError
from bench.job.curves import Diverged
from bench.job.loading import AnySubmission, build_network, data_spec, seed_everything

# Another order of summation moves a float32 logit by some 1e-6 of its size; a thousand times that is a network
# that looks at its neighbours.
BATCH_TOLERANCE = 1e-3


def rebuild(submission: AnySubmission, spec: JobSpec, weights: dict[str, Tensor] | Path) -> nn.Module:
    """The inference network from ``build_model`` and the final weights alone, in eval mode.

    It is initialised from another random stream than the trained one, so that whatever the weights do not
    carry differs, and shows.

    Raises:
        ContractError: If the weights do not fit the network exactly.
    """
    device = torch.device(spec.device)
    seed_everything(spec.seed, "rebuild")
    model = build_network(submission, data_spec(spec.data), device)
    state = load_file(weights, device=str(device)) if isinstance(weights, Path) else weights
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ContractError(f"final_weights do not fit build_model: {' '.join(str(error).split())}") from None
    return model.eval().requires_grad_(False)


def predict(submission: Classifier, model: nn.Module, images: Tensor, num_classes: int) -> Tensor:  # type: ignore[type-arg]
    """Checked logits of one batch.

    Raises:
        ContractError: If their shape or dtype is not the promised one.
        Diverged: If one is not finite.
    """
    with torch.no_grad():
        logits = submission.predict(model, images)
    expected = (len(images), num_classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != expected or logits.dtype != torch.float32:
        found = (tuple(logits.shape), logits.dtype) if isinstance(logits, Tensor) else type(logits).__name__
        raise ContractError(f"predict returned {found}; it must return {expected} torch.float32 logits")
    if not torch.isfinite(logits).all():
        raise Diverged("predict returned logits that are not finite")
    return logits


def sample(
    submission: Generator,  # type: ignore[type-arg]
    model: nn.Module,
    labels: Tensor,
    seed: int,
    image_shape: tuple[int, ...],
) -> Tensor:
    """Checked samples of one batch of labels, a function of (weights, labels, seed).

    Raises:
        ContractError: If their shape or dtype is not the promised one.
    """
    generator = torch.Generator(labels.device).manual_seed(seed)
    with torch.no_grad():
        images = submission.sample(model, labels, generator)
    expected = (len(labels), *image_shape)
    if not isinstance(images, Tensor) or tuple(images.shape) != expected or images.dtype != torch.uint8:
        found = (tuple(images.shape), images.dtype) if isinstance(images, Tensor) else type(images).__name__
        raise ContractError(f"sample returned {found}; it must return {expected} torch.uint8 images")
    return images


def batch_dependence(
    submission: Classifier,  # type: ignore[type-arg]
    model: nn.Module,
    images: Tensor,
    num_classes: int,
) -> tuple[bool, float]:
    """Whether logits stay the same when the rest of the batch changes, and the largest change seen.

    ``images`` are predicted once together, and once in another order in batches of a quarter.
    """
    together = predict(submission, model, images, num_classes)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).to(images.device)
    apart = torch.empty_like(together)
    for indices in order.split(max(1, len(images) // 4)):
        apart[indices] = predict(submission, model, images[indices], num_classes)
    change = (together - apart).abs().max().item()
    return change <= BATCH_TOLERANCE * max(1.0, together.abs().max().item()), change
