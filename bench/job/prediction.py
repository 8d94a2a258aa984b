"""Rebuilding a trained network in a clean process, and asking it for predictions or samples."""

from collections.abc import Mapping
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
    _refuse_others(state, model)
    try:
        nn.Module.load_state_dict(model, state, strict=True)  # whatever the network has in its place
    except RuntimeError as error:
        raise ContractError(f"final_weights do not fit build_model: {' '.join(str(error).split())}") from None
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def _refuse_others(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Refuse weights that are not the network's, name by name and shape by shape.

    What torch's own quantisation observes takes its shape from the data: its modules load other shapes.
    """
    own: Mapping[str, Tensor] = model.state_dict()
    grows = {name for name, module in model.named_modules() if type(module).__module__.startswith("torch.ao.")}
    wrong = [f"{name} is not the network's" for name in weights.keys() - own.keys()]
    wrong += [f"{name} is missing" for name in own.keys() - weights.keys()]
    wrong += [
        f"{name} is {tuple(weights[name].shape)}, the network's {tuple(own[name].shape)}"
        for name in weights.keys() & own.keys()
        if weights[name].shape != own[name].shape and name.rpartition(".")[0] not in grows
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ContractError(
            f"final_weights do not fit build_model: {', '.join(sorted(wrong)[:3])}{more}; return the state dict "
            "of the network itself, not of what wraps it (such as ema.module.state_dict())"
        )


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
        raise ContractError(f"predict returned {_shape(logits)}; it must return {expected} torch.float32 logits")
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
    return _checked_images(images, "sample", (len(labels), *image_shape))


def decode(
    submission: Generator,  # type: ignore[type-arg]
    model: nn.Module,
    latents: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    image_shape: tuple[int, ...],
) -> Tensor:
    """Checked images of one batch of latents.

    Raises:
        ContractError: If their shape or dtype is not the promised one.
    """
    with torch.no_grad():
        images = submission.decode(model, latents, labels, generator)
    return _checked_images(images, "decode", (len(labels), *image_shape))


def latent(submission: Generator, model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:  # type: ignore[type-arg]
    """Checked latents of one batch of labels.

    Raises:
        ContractError: If they are not one float32 tensor a label.
    """
    with torch.no_grad():
        latents = submission.latent(model, labels, generator)
    if not isinstance(latents, Tensor) or latents.shape[:1] != labels.shape or latents.dtype != torch.float32:
        raise ContractError(
            f"latent returned {_shape(latents)}; it must return ({len(labels)}, ...) torch.float32"
        )
    return latents


def _checked_images(images: object, function: str, expected: tuple[int, ...]) -> Tensor:
    if not isinstance(images, Tensor) or tuple(images.shape) != expected or images.dtype != torch.uint8:
        raise ContractError(f"{function} returned {_shape(images)}; it must return {expected} torch.uint8 images")
    return images


def _shape(value: object) -> str:
    return f"({tuple(value.shape)}, {value.dtype})" if isinstance(value, Tensor) else type(value).__name__


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
