"""Formulas for the multiply-accumulates (MACs) of every operator that multiplies and sums.

Matrix products and convolutions use torch's own formulas (torch.utils.flop_counter, 2 FLOPs per MAC). This module
adds formulas for operators that torch does not count, or counts differently. A formula receives the operator's
arguments and its result.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
Formula = Callable[[tuple[Any, ...], dict[str, Any], Any], int]


def _torch_formula(packet: Any) -> Formula:
    flops = flop_registry[packet]
    return lambda args, kwargs, result: int(flops(*args, **kwargs, out_val=result)) // 2


def _entries(tensor: Tensor) -> int:
    """Return the number of stored elements; for a sparse tensor, only the explicitly stored ones."""
    if tensor.layout is torch.strided:
        return tensor.numel()
    values = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
    return values.numel()


def _product(left: int, right: int) -> Formula:
    """Return the formula for the product of two arguments, (..., n, k) and (..., k, m), given by their positions.

    For a sparse argument only the stored elements count.
    """

    def macs(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        first, second = args[left], args[right]
        if first.layout is not torch.strided or second.layout is torch.strided:
            return _entries(first) * (int(second.shape[-1]) if second.dim() > 1 else 1)
        return _entries(second) * int(first.shape[-2])

    return macs


def _dense_product(packet: Any, left: int, right: int) -> Formula:
    """Return torch's formula for dense arguments, and ``_product`` if an argument is sparse."""
    dense_formula, sparse_formula = _torch_formula(packet), _product(left, right)

    def macs(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        dense = args[left].layout is torch.strided and args[right].layout is torch.strided
        return (dense_formula if dense else sparse_formula)(args, kwargs, result)

    return macs


def _outer(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count an outer product: one that is larger than both factors. Elementwise products count as 0."""
    left, right = args[0], args[1]
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return 0
    return result.numel() if result.numel() > max(left.numel(), right.numel()) else 0


def _convolution_backward(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count the MACs of the forward pass once for each requested gradient (input, weight).

    torch's own formula ignores the groups in the weight's gradient. For a depthwise layer its count is too large
    by a factor of the number of channels.
    """
    gradient, x, weight = args[:3]
    transposed, output_mask = args[7], args[10]
    positions = x if transposed else gradient  # the tensor whose pixels are the kernel's positions
    forward = positions.shape[0] * math.prod(positions.shape[2:]) * weight.numel()
    return int(forward * (bool(output_mask[0]) + bool(output_mask[1])))


def _attention(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count the products of queries (B, H, L, E) by keys (B, H, S, E) and weights by values (B, H, S, V)."""
    query, key, value = args[:3]
    return int(query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _attention_backward(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count two products for each one of the forward pass; recomputed attention scores are not counted."""
    return 2 * _attention(args[1:], kwargs, result)


def _recurrent(weights: Callable[[tuple[Any, ...]], list[Any]], times: int) -> Formula:
    """Return the formula of a recurrent layer: each gate's matrices ``times`` times per sequence step."""

    def macs(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        vectors = int(math.prod(args[0].shape[:-1]))  # (T, B, C), or (sum of lengths, C) of a packed sequence
        return times * vectors * sum(int(weight.numel()) for weight in weights(args) if weight.dim() > 1)

    return macs


def _bilinear(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count the terms of ``_trilinear``: three tensors, unsqueezed, then broadcast against each other."""
    shapes = []
    for tensor, expanded in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for dimension in sorted(expanded):
            shape.insert(dimension, 1)
        shapes.append(shape)
    return math.prod(torch.broadcast_shapes(*map(tuple, shapes)))


def _distances(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count one MAC (difference, power, sum) per term, P × R × M for (..., P, M) and (..., R, M)."""
    return int(result.numel() * args[0].shape[-1])


def _affine_grid(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Count the product of each position's homogeneous coordinates with the matrix of its image."""
    return int(result.numel() * args[0].shape[-1])


_ADDED: dict[str, Formula] = {  # by ATen name; an in-place form uses the formula of its base operator
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
    "affine_grid_generator": _affine_grid,
    "cudnn_affine_grid_generator": _affine_grid,
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
    **{operator: _torch_formula(operator) for operator in flop_registry},
    **{
        getattr(aten, form): formula
        for name, formula in _ADDED.items()
        for form in (name, f"{name}_")
        if hasattr(aten, form)  # some operators exist only in newer versions of torch
    },
}

NAMES = {aten.mul: "outer"}  # reported names of operators of which only some calls are counted


def macs_of(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int | None:
    """Return the MACs of one call; None if there is no formula.

    A product of two complex numbers counts as four real products.
    """
    formula = FORMULAS.get(getattr(operator, "_overloadpacket", operator))
    if formula is None:
        return None
    complex_numbers = isinstance(result, Tensor) and result.is_complex() and _all_complex(args)
    return formula(args, kwargs, result) * (4 if complex_numbers else 1)


def _all_complex(args: tuple[Any, ...]) -> bool:
    return all(value.is_complex() for value in args if isinstance(value, Tensor))
