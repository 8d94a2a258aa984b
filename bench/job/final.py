"""The weights that are left of a training: what the evaluated network is rebuilt from."""

from collections.abc import Mapping

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.loading import AnySubmission


def final_weights(submission: AnySubmission, model: nn.Module) -> dict[str, Tensor]:
    """The submission's final weights on the CPU, each tensor with storage of its own, as safetensors needs.

    Raises:
        ContractError: If they are not a mapping of names to tensors, or a parameter is not finite.
    """
    weights = submission.final_weights(model)
    if not isinstance(weights, Mapping):
        raise ContractError(
            f"final_weights returned {type(weights).__name__}; it must return a state dict, name -> tensor"
        )
    trained = dict(model.named_parameters())  # a mask or an observer's buffer may well be infinite
    result = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise ContractError(f"final_weights: {name!r} is a {type(tensor).__name__}, not a tensor")
        if name.endswith("_extra_state"):
            raise ContractError(f"final_weights: {name!r} is extra state, which nothing counts; register a buffer")
        if name in trained and not torch.isfinite(tensor).all():
            raise ContractError(f"final_weights: {name!r} has values that are not finite")
        result[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return result


def through_a_file(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is left of the weights in the file between training and evaluation.

    Raises:
        ContractError: If a file cannot hold one.
    """
    for name, tensor in weights.items():
        try:
            save({name: tensor})
        except (KeyError, ValueError):
            raise ContractError(
                f"final_weights: {name!r} is {tensor.dtype} {tensor.layout}, which no file of weights can hold; "
                "use dense tensors, of complex numbers torch.complex64"
            ) from None
    return load(save(weights))
