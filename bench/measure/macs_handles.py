"""Which traced operators are multiply-accumulates, which are cheap, and handles for those fvcore passes over.

fvcore counts an operator without a handle as 0. That is right for an activation and wrong for attention, so
every operator that costs is either handled here or shows as uncounted.
"""

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

ATTENTION = "scaled_dot_product_attention"

# fvcore's names, under which it sums its counts, for what is a multiply-accumulate.
MAC_OPERATORS = frozenset({"conv", "linear", "matmul", "bmm", "addmm", "einsum", "baddbmm", ATTENTION})

# Elementwise work, reductions, views and random numbers: fvcore counts no multiply-accumulates, nor do we.
_CHEAP = (
    "abs abs_ adaptive_max_pool2d add add_ amax amin any arange argmax avg_pool2d bernoulli cat ceil chunk "
    "clamp clamp_ clone constant_pad_nd contiguous copy_ cos cumsum detach div div_ dropout elu embedding "
    "empty eq exp expand fill_ flatten flip floor floor_divide full gather ge gelu glu gt hardsigmoid "
    "hardswish hardtanh index index_select le leaky_relu leaky_relu_ lift_fresh log log_softmax logsumexp lt mT "
    "masked_fill max max_pool1d max_pool2d maximum mean min minimum mish mul mul_ narrow ne neg new_zeros "
    "norm ones ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu rand randn randn_like "
    "reciprocal reflection_pad2d relu relu6 relu_ remainder repeat reshape roll rot90 round rsqrt rsub "
    "scalar_tensor scatter select selu sigmoid sigmoid_ sign silu silu_ sin slice softmax softplus sort "
    "split sqrt square squeeze stack std sub sub_ sum tan tanh tanh_ tensor_split threshold to topk "
    "transpose tril triu type_as unbind unflatten unsqueeze upsample_nearest2d var view where zero_ zeros "
    "zeros_like "
)
CHEAP_OPERATORS = frozenset(f"aten::{name}" for name in _CHEAP.split())

# Operators that cost and that neither fvcore nor torch counts on every device. A network that uses one has no
# honest count until it gets a handle.
_HEAVY = "lstm gru rnn_ _cudnn_rnn fft_ _fft linalg_ cdist _cdist bilinear mv addmv addbmm"
HEAVY_PREFIXES = tuple(f"aten::{name}" for name in _HEAVY.split())


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


def _named(name: str, count: Callable[[list[Any], list[Any]], int]) -> Callable[[list[Any], list[Any]], Any]:
    return lambda inputs, outputs: Counter({name: count(inputs, outputs)})


HANDLES: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "aten::scaled_dot_product_attention": _named(ATTENTION, _attention),
    "aten::baddbmm": _named("baddbmm", _baddbmm),
}
