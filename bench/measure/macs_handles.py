"""Which traced operators are multiply-accumulates, which are cheap, and handles for those fvcore passes over.

fvcore counts an operator without a handle as 0. That is right for an activation and wrong for attention, so
every operator that costs is either handled here or shows as uncounted.
"""

from collections.abc import Callable
from math import prod
from typing import Any

# fvcore's names, under which it sums its counts, for what is a multiply-accumulate.
MAC_OPERATORS = frozenset(
    {"conv", "linear", "matmul", "bmm", "addmm", "einsum", "scaled_dot_product_attention", "baddbmm", "mv"}
)

# Elementwise work, reductions, views and random numbers: fvcore counts no multiply-accumulates, nor do we.
CHEAP_OPERATORS = frozenset(
    f"aten::{name}"
    for name in (
        "abs abs_ add add_ amax amin any arange argmax avg_pool2d bernoulli cat ceil chunk clamp clamp_ clone "
        "constant_pad_nd contiguous copy_ cos cumsum detach div div_ dropout elu embedding empty eq exp expand "
        "fill_ flip floor full ge gelu glu gt hardsigmoid hardswish hardtanh index_select le leaky_relu "
        "leaky_relu_ log log_softmax logsumexp lt masked_fill max max_pool2d maximum mean min minimum mish mul "
        "mul_ narrow ne neg new_zeros norm ones ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu "
        "rand randn randn_like reciprocal reflection_pad2d relu relu_ relu6 remainder repeat reshape roll round "
        "rsqrt rsub scalar_tensor select selu sigmoid sigmoid_ sign silu silu_ sin slice softmax softplus split "
        "sqrt square squeeze stack std sub sub_ sum tan tanh tanh_ tensor_split threshold to transpose tril triu "
        "type_as unbind unflatten unsqueeze upsample_nearest2d var where zeros zeros_like zero_ view flatten "
        "adaptive_max_pool2d max_pool1d lift_fresh sub rot90 floor_divide index gather scatter topk sort"
    ).split()
)


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Two products: queries × keys, (B, H, L, E) × (B, H, S, E), and weights × values, (B, H, S, V)."""
    query, key, value = (_shape(item) for item in inputs[:3])
    queries = prod(query[:-1])
    return queries * key[-2] * query[-1] + queries * key[-2] * value[-1]


def _baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    left, right = _shape(inputs[1]), _shape(inputs[2])
    return prod(left) * right[-1]


def _mv(inputs: list[Any], outputs: list[Any]) -> int:
    return prod(_shape(inputs[0]))


def _named(name: str, count: Callable[[list[Any], list[Any]], int]) -> Callable[[list[Any], list[Any]], Any]:
    from collections import Counter

    return lambda inputs, outputs: Counter({name: count(inputs, outputs)})


HANDLES: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "aten::scaled_dot_product_attention": _named("scaled_dot_product_attention", _attention),
    "aten::baddbmm": _named("baddbmm", _baddbmm),
    "aten::mv": _named("mv", _mv),
}
