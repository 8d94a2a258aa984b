"""How many multiply-accumulates (MACs) an operator does, for all that multiply and sum.

Matrix products and convolutions take torch's own formulas (torch.utils.flop_counter, 2 FLOPs per MAC); here is
what these leave out or count otherwise. A formula gets the operator's arguments and its result.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
Formula = Callable[[tuple[Any, ...], dict[str, Any], Any], int]


def _of_torch(packet: Any) -> Formula:
    flops = flop_registry[packet]
    return lambda args, kwargs, result: int(flops(*args, **kwargs, out_val=result)) // 2


def _entries(tensor: Tensor) -> int:
    """How many numbers it holds: of a sparse one those that it stores."""
    if tensor.layout is torch.strided:
        return tensor.numel()
    values = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
    return values.numel()


def _product(left: int, right: int) -> Formula:
    """Of the arguments at two places, (..., n, k) and (..., k, m); a sparse one counts where it has entries."""

    def macs(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        first, second = args[left], args[right]
        if first.layout is not torch.strided or second.layout is torch.strided:
            return _entries(first) * (int(second.shape[-1]) if second.dim() > 1 else 1)
        return _entries(second) * int(first.shape[-2])

    return macs


def _dense_product(packet: Any, left: int, right: int) -> Formula:
    """torch's formula, unless an argument is sparse."""
    of_torch, by_entries = _of_torch(packet), _product(left, right)

    def macs(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        dense = args[left].layout is torch.strided and args[right].layout is torch.strided
        return (of_torch if dense else by_entries)(args, kwargs, result)

    return macs


def _outer(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """A product larger than both of its factors is an outer one: a matrix product over one term."""
    left, right = args[0], args[1]
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return 0
    return result.numel() if result.numel() > max(left.numel(), right.numel()) else 0


def _convolution_backward(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Each of the two gradients takes as many MACs as the forward pass.

    torch's own formula leaves the groups out of the weight's gradient, and so counts a depthwise layer's number of
    channels times over.
    """
    gradient, x, weight = args[:3]
    transposed, wanted = args[7], args[10]
    positions = x if transposed else gradient  # where the kernel is laid
    forward = positions.shape[0] * math.prod(positions.shape[2:]) * weight.numel()
    return int(forward * (bool(wanted[0]) + bool(wanted[1])))


def _attention(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Queries by keys, (B, H, L, E) x (B, H, S, E), and weights by values, (B, H, S, V)."""
    query, key, value = args[:3]
    return int(query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _attention_backward(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Two products for each of the forward pass's; the scores that kernels compute again are not counted."""
    return 2 * _attention(args[1:], kwargs, result)


def _recurrent(weights: Callable[[tuple[Any, ...]], list[Any]], times: int) -> Formula:
    """Every matrix of every gate once per step of a sequence; twice more backward."""

    def macs(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        vectors = int(math.prod(args[0].shape[:-1]))  # (T, B, C), or (sum of lengths, C) of a packed sequence
        return times * vectors * sum(int(weight.numel()) for weight in weights(args) if weight.dim() > 1)

    return macs


def _bilinear(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Terms of the sum over three tensors that are broadcast against each other after unsqueezing."""
    shapes = []
    for tensor, expanded in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for place in sorted(expanded):
            shape.insert(place, 1)
        shapes.append(shape)
    return math.prod(torch.broadcast_shapes(*map(tuple, shapes)))


def _distances(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Between (..., P, M) and (..., R, M): a difference, its power and a sum for each of P x R x M."""
    return int(result.numel() * args[0].shape[-1])


def _places_by_pose(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Every place's coordinates, and 1, by a matrix for each image."""
    return int(result.numel() * args[0].shape[-1])


_OWN: dict[str, Formula] = {  # by torch's names; an in-place form belongs to its operator
    "convolution_backward": _convolution_backward,
    "mm": _dense_product(aten.mm, 0, 1),
    "addmm": _dense_product(aten.addmm, 1, 2),
    "bmm": _dense_product(aten.bmm, 0, 1),
    "baddbmm": _dense_product(aten.baddbmm, 1, 2),
    "addbmm": lambda args, kwargs, result: args[1].numel() * args[2].shape[-1],
    "mv": _product(0, 1),
    "addmv": _product(1, 2),
    "addr": lambda args, kwargs, result: args[1].numel() * args[2].numel(),
    "dot": lambda args, kwargs, result: args[0].numel(),
    "vdot": lambda args, kwargs, result: args[0].numel(),
    "mul": _outer,
    "_int_mm": _product(0, 1),
    "_foreach_mm": lambda args, kwargs, result: sum(
        left.numel() * right.shape[-1] for left, right in zip(args[0], args[1], strict=True)
    ),
    "_addmm_activation": _product(1, 2),
    "_sparse_addmm": _product(1, 2),
    "_sparse_sparse_matmul": _product(0, 1),
    "hspmm": _product(0, 1),
    "sparse_sampled_addmm": lambda args, kwargs, result: _entries(args[0]) * args[1].shape[-1],
    "mkldnn_rnn_layer": _recurrent(lambda args: list(args[1:5]), 1),
    "mkldnn_rnn_layer_backward": _recurrent(lambda args: list(args[1:5]), 2),
    "_cudnn_rnn": _recurrent(lambda args: args[1], 1),
    "_cudnn_rnn_backward": _recurrent(lambda args: args[1], 2),
    "_trilinear": _bilinear,
    "affine_grid_generator": _places_by_pose,
    "cudnn_affine_grid_generator": _places_by_pose,
    "_cdist_forward": _distances,
    "_euclidean_dist": _distances,
    "_cdist_backward": lambda args, kwargs, result: args[0].numel() * args[1].shape[-1],
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_scaled_dot_product_flash_attention_backward": _attention_backward,
    "_scaled_dot_product_efficient_attention_backward": _attention_backward,
    "_scaled_dot_product_cudnn_attention_backward": _attention_backward,
}

FORMULAS: dict[Any, Formula] = {
    **{operator: _of_torch(operator) for operator in flop_registry},
    **{
        getattr(aten, form): formula
        for name, formula in _OWN.items()
        for form in (name, f"{name}_")
        if hasattr(aten, form)  # some are of newer versions
    },
}

NAMES = {aten.mul: "outer"}  # where a formula counts but some of an operator's calls


def macs_of(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int | None:
    """The MACs of one call; None if there is no formula.

    A product of complex numbers is four of real ones.
    """
    formula = FORMULAS.get(getattr(operator, "_overloadpacket", operator))
    if formula is None:
        return None
    complex_numbers = isinstance(result, Tensor) and result.is_complex() and _all_complex(args)
    return formula(args, kwargs, result) * (4 if complex_numbers else 1)


def _all_complex(args: tuple[Any, ...]) -> bool:
    return all(value.is_complex() for value in args if isinstance(value, Tensor))
