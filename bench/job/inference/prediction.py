"""Rebuild a trained network from its final weights, and compute checked predictions or samples."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Classifier, Generator
from bench.errors import ContractError
from bench.job.loading import AnySubmission, build_network, data_spec, seed_everything
from bench.job.steps.curves import Diverged

# Relative tolerance. Another order of summation changes a float32 logit by about 1e-6 of its size; a change a
# thousand times larger means that the network uses other images of the batch.
BATCH_TOLERANCE = 1e-3


def rebuild(submission: AnySubmission, spec: JobSpec, weights: dict[str, Tensor] | Path) -> nn.Module:
    """Build the inference network from ``build_model`` and the final weights alone, in eval mode.

    It is initialised from another random stream than the trained network, so that any state missing from the
    weights differs and is detected.

    Args:
        submission: The submission that was trained.
        spec: The job.
        weights: The final weights, or the safetensors file that contains them.

    Raises:
        ContractError: If the weights do not fit the network exactly.
    """
    device = torch.device(spec.device)
    seed_everything(spec.seed, "rebuild")
    model = build_network(submission, data_spec(spec.data), device)
    state = load_file(weights, device=str(device)) if isinstance(weights, Path) else weights
    return load_weights(model, state)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Give a freshly built network its final weights, in eval mode and without gradients; return it.

    Raises:
        ContractError: If the weights do not fit the network exactly.
    """
    _check_state_fits(weights, model)
    try:
        nn.Module.load_state_dict(model, weights, strict=True)  # ignores a load_state_dict of the submission
    except RuntimeError as error:
        raise ContractError(f"final_weights do not fit build_model: {' '.join(str(error).split())}") from None
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def _check_state_fits(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Refuse weights whose names or shapes differ from the network's state dict."""
    expected: Mapping[str, Tensor] = model.state_dict()
    fixed = names_of_fixed_shape(model)
    mismatches = [f"{name} is not in the network" for name in weights.keys() - expected.keys()]
    mismatches += [f"{name} is missing" for name in expected.keys() - weights.keys()]
    mismatches += [
        f"{name} has shape {tuple(weights[name].shape)}, in the network {tuple(expected[name].shape)}"
        for name in weights.keys() & expected.keys()
        if weights[name].shape != expected[name].shape and name in fixed
    ]
    if mismatches:
        more = f", and {len(mismatches) - 3} more" if len(mismatches) > 3 else ""
        raise ContractError(
            f"final_weights do not fit build_model: {', '.join(sorted(mismatches)[:3])}{more}; return the state "
            "dict of the network itself, not of a wrapper around it (such as ema.module.state_dict() of an EMA)"
        )


def names_of_fixed_shape(model: nn.Module) -> set[str]:
    """Return the names in a state dict whose shapes a file must have.

    Those of torch's own quantisation modules depend on the data that was observed.
    """
    quantised = {name for name, module in model.named_modules() if type(module).__module__.startswith("torch.ao.")}
    return {name for name in model.state_dict() if name.rpartition(".")[0] not in quantised}


def predict(submission: Classifier, model: nn.Module, images: Tensor, num_classes: int) -> Tensor:  # type: ignore[type-arg]
    """Return the checked logits of one batch, (B, num_classes) float32.

    Raises:
        ContractError: If shape or dtype differ from these.
        Diverged: If a logit is not finite.
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
    """Return the checked samples of one batch of labels, (B, C, H, W) uint8.

    They are a function of (weights, labels, seed).

    Raises:
        ContractError: If shape or dtype differ from these.
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
    """Return the checked images of one batch of latents, (B, C, H, W) uint8.

    Raises:
        ContractError: If shape or dtype differ from these.
    """
    with torch.no_grad():
        images = submission.decode(model, latents, labels, generator)
    return _checked_images(images, "decode", (len(labels), *image_shape))


def latent(submission: Generator, model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:  # type: ignore[type-arg]
    """Return the checked latents of one batch of labels, (B, ...) float32.

    Raises:
        ContractError: If shape or dtype differ from these.
    """
    with torch.no_grad():
        latents = submission.latent(model, labels, generator)
    if not isinstance(latents, Tensor) or latents.shape[:1] != labels.shape or latents.dtype != torch.float32:
        raise ContractError(
            f"latent returned {_shape(latents)}; it must return ({len(labels)}, ...) torch.float32 latents"
        )
    return latents


def _checked_images(images: object, function: str, expected: tuple[int, ...]) -> Tensor:
    if not isinstance(images, Tensor) or tuple(images.shape) != expected or images.dtype != torch.uint8:
        raise ContractError(f"{function} returned {_shape(images)}; it must return {expected} torch.uint8 images")
    return images


def _shape(value: object) -> str:
    """Describe a value for an error message: shape and dtype of a tensor, else the type."""
    return f"({tuple(value.shape)}, {value.dtype})" if isinstance(value, Tensor) else type(value).__name__


def batch_dependence(
    submission: Classifier,  # type: ignore[type-arg]
    model: nn.Module,
    images: Tensor,
    num_classes: int,
) -> tuple[bool, float]:
    """Compare the logits of ``images`` in one batch with those in batches of a quarter, in another order.

    Returns:
        Whether logits are independent of the other images in the batch (up to ``BATCH_TOLERANCE``), and the
        largest absolute change of a logit.
    """
    together = predict(submission, model, images, num_classes)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).to(images.device)
    apart = torch.empty_like(together)
    for indices in order.split(max(1, len(images) // 4)):
        apart[indices] = predict(submission, model, images[indices], num_classes)
    change = (together - apart).abs().max().item()
    return change <= BATCH_TOLERANCE * max(1.0, together.abs().max().item()), change
