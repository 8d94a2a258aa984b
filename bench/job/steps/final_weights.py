"""Extract the final weights of a training, from which the evaluated network is rebuilt."""

from collections.abc import Mapping

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.loading import AnySubmission


def final_weights(submission: AnySubmission, model: nn.Module) -> dict[str, Tensor]:
    """Return the submission's final weights on the CPU, without shared storages, as safetensors requires.

    Raises:
        ContractError: If they are not a mapping of names to tensors, contain extra state, or a parameter is not
            finite.
    """
    weights = submission.final_weights(model)
    if not isinstance(weights, Mapping):
        raise ContractError(
            f"final_weights returned {type(weights).__name__}; it must return a state dict, name -> tensor"
        )
    parameters = dict(model.named_parameters())  # buffers, such as an attention mask, may be infinite
    result = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise ContractError(
                f"final_weights: {name!r} is a {type(tensor).__name__}, not a tensor; return a state dict"
            )
        if name.endswith("_extra_state"):
            raise ContractError(
                f"final_weights: {name!r} is extra state, which no cap counts; register a buffer instead"
            )
        if name in parameters and not torch.isfinite(tensor).all():
            raise ContractError(
                f"final_weights: {name!r} has values that are not finite; trained parameters must be finite"
            )
        result[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return result


def safetensors_round_trip(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights after serialisation as safetensors, the format between training and evaluation.

    Raises:
        ContractError: If safetensors cannot store a tensor.
    """
    for name, tensor in weights.items():
        try:
            save({name: tensor})
        except (KeyError, ValueError):
            raise ContractError(
                f"final_weights: {name!r} is {tensor.dtype} {tensor.layout}, which safetensors cannot store; use "
                "dense tensors, and torch.complex64 for complex numbers"
            ) from None
    return load(save(weights))


def dtype_name(tensor: Tensor) -> str:
    """Return the name of a tensor's dtype without its module, such as ``float32``."""
    return str(tensor.dtype).removeprefix("torch.")
