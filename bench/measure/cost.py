"""What a forward pass costs in multiply-accumulates (MACs), by two counters that know nothing of each other.

One MAC is one multiplication and one addition. What is reported is counted operator by operator as it runs
(bench/measure/counting.py). fvcore traces the same pass and counts by its own formulas, which leave out or mistake
some ordinary layers; where it finds another number, or none, both are recorded.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import ContractError
from bench.measure.counting import Tally, counted, explicitly

with warnings.catch_warnings():  # fvcore compiles a loss with torch.jit.script, which torch has deprecated
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis

ATTENTION = "scaled_dot_product_attention"
# The names under which fvcore sums its counts, for what is a multiply-accumulate; its others are elementwise work.
PRODUCTS = frozenset({"conv", "linear", "matmul", "bmm", "addmm", "einsum", "baddbmm", ATTENTION})


class MeasurementError(ContractError):
    """There is nothing to measure."""


@dataclass(frozen=True)
class FvcoreCount:
    """What fvcore finds in a pass."""

    macs: int | None  # None if it cannot trace or count it
    elementwise_ops: int = 0  # for normalisation, pooling, resizing: not MACs
    problem: str = ""

    def times(self, count: int) -> "FvcoreCount":
        """In ``count`` such passes."""
        macs = None if self.macs is None else self.macs * count
        return FvcoreCount(macs, self.elementwise_ops * count, self.problem)

    def plus(self, other: "FvcoreCount") -> "FvcoreCount":
        """In both."""
        known = self.macs is not None and other.macs is not None
        macs = (self.macs or 0) + (other.macs or 0) if known else None
        problem = self.problem or other.problem
        return FvcoreCount(macs, self.elementwise_ops + other.elementwise_ops, problem)

    def against(self, macs: int) -> list[str]:
        """A line if it is not what was counted as the pass ran."""
        if self.macs is None:
            return [f"MACs are counted once: fvcore cannot count this network ({self.problem})"]
        if self.macs != macs:
            return [f"fvcore counts {self.macs:,} MACs where {macs:,} ran; those that ran are reported"]
        return []


@dataclass(frozen=True)
class InferenceCost:
    """What a prediction or a sample of one image costs."""

    ran: Tally  # all that ran, of every evaluation of the network
    inside: int  # MACs of these evaluations
    by_fvcore: FvcoreCount  # of these evaluations
    evaluations: int = 1


class _Call(nn.Module):
    """A call as a function of its tensors alone, which is all that can be traced: None and numbers are fixed."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.module = module
        self._args, self._kwargs = args, kwargs

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(value for value in (*self._args, *self._kwargs.values()) if isinstance(value, Tensor))

    def forward(self, *tensors: Tensor) -> Any:
        left = iter(tensors)
        args = [next(left) if isinstance(value, Tensor) else value for value in self._args]
        kwargs = {key: next(left) if isinstance(value, Tensor) else value for key, value in self._kwargs.items()}
        return self.module(*args, **kwargs)


def forward_cost(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> InferenceCost:
    """The cost of one forward pass of ``module(*args, **kwargs)``.

    Args:
        module: In eval mode; it is not changed.
        args: Inputs of batch size 1; what is no tensor is held fixed.
        kwargs: The same, by name.
    """
    kwargs = kwargs or {}
    with torch.no_grad(), counted() as ran:
        module(*args, **kwargs)
    return InferenceCost(ran, ran.total_macs, fvcore_count(module, args, kwargs))


def fvcore_count(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FvcoreCount:
    """What fvcore counts in ``module(*args, **kwargs)``."""
    call = _Call(module, args, kwargs)
    analysis = FlopCountAnalysis(call, call.tensors)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(**_HANDLES)
    with torch.no_grad(), explicitly():
        try:
            found = {name: int(count) for name, count in analysis.by_operator().items()}
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            return FvcoreCount(None, problem=f"{type(error).__name__}: {reason}")
    macs = sum(count for name, count in found.items() if name in PRODUCTS)
    return FvcoreCount(macs, sum(found.values()) - macs)


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Two products: queries by keys, (B, H, L, E) x (B, H, S, E), and weights by values, (B, H, S, V)."""
    query, key, value = (_shape(item) for item in inputs[:3])
    queries = prod(query[:-1])
    return queries * key[-2] * query[-1] + queries * key[-2] * value[-1]


def _baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    left, right = _shape(inputs[1]), _shape(inputs[2])
    return prod(left) * right[-1]


def _named(name: str, count: Callable[[list[Any], list[Any]], int]) -> Callable[[list[Any], list[Any]], Any]:
    return lambda inputs, outputs: Counter({name: count(inputs, outputs)})


_HANDLES: dict[str, Callable[[list[Any], list[Any]], Any]] = {  # which it lacks
    "aten::scaled_dot_product_attention": _named(ATTENTION, _attention),
    "aten::baddbmm": _named("baddbmm", _baddbmm),
}
