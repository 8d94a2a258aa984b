"""Count the multiply-accumulates (MACs) of a forward pass with two independent counters.

One MAC is one multiplication and one addition. The reported number is counted per operator during execution
(bench/measure/cost/operator_counter.py). fvcore traces the same pass and counts with its own formulas, which miss
or miscount some ordinary layers. If fvcore's number differs or is missing, both are recorded.
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
from bench.measure.cost.operator_counter import Tally, counted, explicitly

with warnings.catch_warnings():  # fvcore compiles a loss with torch.jit.script, which torch has deprecated
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis

ATTENTION = "scaled_dot_product_attention"
# fvcore's operator names whose counts are multiply-accumulates; all of its other counts are elementwise work.
PRODUCTS = frozenset({"conv", "linear", "matmul", "bmm", "addmm", "einsum", "baddbmm", ATTENTION})


class MeasurementError(ContractError):
    """A network or sampler that cannot be measured."""


@dataclass(frozen=True)
class FvcoreCount:
    """fvcore's count of a forward pass."""

    macs: int | None  # None if fvcore cannot trace or count the pass
    elementwise_ops: int = 0  # of normalisation, pooling and resizing; not MACs
    problem: str = ""

    def times(self, count: int) -> "FvcoreCount":
        """Return the count of ``count`` identical passes."""
        macs = None if self.macs is None else self.macs * count
        return FvcoreCount(macs, self.elementwise_ops * count, self.problem)

    def plus(self, other: "FvcoreCount") -> "FvcoreCount":
        """Return the sum of two counts; the MACs are None if either is unknown."""
        known = self.macs is not None and other.macs is not None
        macs = (self.macs or 0) + (other.macs or 0) if known else None
        problem = self.problem or other.problem
        return FvcoreCount(macs, self.elementwise_ops + other.elementwise_ops, problem)

    def against(self, macs: int) -> list[str]:
        """Return a warning if fvcore's count is missing or differs from the executed ``macs``; else no line."""
        if self.macs is None:
            return [f"MACs are not cross-checked: fvcore cannot count this network ({self.problem})"]
        if self.macs != macs:
            return [
                f"fvcore counts {self.macs:,} MACs, but {macs:,} were executed; the executed ones are reported"
            ]
        return []


@dataclass(frozen=True)
class InferenceCost:
    """The cost of a prediction for one image, or of one generated sample."""

    ran: Tally  # all executed operators, including those outside the network
    inside: int  # MACs executed within the network's evaluations
    by_fvcore: FvcoreCount  # fvcore's count of the same evaluations
    evaluations: int = 1  # network evaluations per image


class _Call(nn.Module):
    """A call as a function of its tensors, since only tensors can be traced; other arguments are constants."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.module = module
        self._args, self._kwargs = args, kwargs

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(value for value in (*self._args, *self._kwargs.values()) if isinstance(value, Tensor))

    def forward(self, *tensors: Tensor) -> Any:
        remaining = iter(tensors)
        args = [next(remaining) if isinstance(value, Tensor) else value for value in self._args]
        kwargs = {
            key: next(remaining) if isinstance(value, Tensor) else value for key, value in self._kwargs.items()
        }
        return self.module(*args, **kwargs)


def forward_cost(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> InferenceCost:
    """Measure the cost of one forward pass ``module(*args, **kwargs)``.

    Args:
        module: In eval mode; it is not changed.
        args: Inputs of batch size 1; arguments that are not tensors are constants for fvcore.
        kwargs: Keyword arguments, likewise.
    """
    kwargs = kwargs or {}
    with torch.no_grad(), counted() as ran:
        module(*args, **kwargs)
    return InferenceCost(ran, ran.total_macs, fvcore_count(module, args, kwargs))


def fvcore_count(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FvcoreCount:
    """Return fvcore's count of ``module(*args, **kwargs)``."""
    call = _Call(module, args, kwargs)
    analysis = FlopCountAnalysis(call, call.tensors)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(**_HANDLES)
    with torch.no_grad(), explicitly():
        try:
            counts = {name: int(count) for name, count in analysis.by_operator().items()}
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            return FvcoreCount(None, problem=f"{type(error).__name__}: {reason}")
    macs = sum(count for name, count in counts.items() if name in PRODUCTS)
    return FvcoreCount(macs, sum(counts.values()) - macs)


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Count the products of queries (B, H, L, E) by keys (B, H, S, E) and weights by values (B, H, S, V)."""
    query, key, value = (_shape(item) for item in inputs[:3])
    queries = prod(query[:-1])
    return queries * key[-2] * query[-1] + queries * key[-2] * value[-1]


def _baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    left, right = _shape(inputs[1]), _shape(inputs[2])
    return prod(left) * right[-1]


def _named(name: str, count: Callable[[list[Any], list[Any]], int]) -> Callable[[list[Any], list[Any]], Any]:
    return lambda inputs, outputs: Counter({name: count(inputs, outputs)})


_HANDLES: dict[str, Callable[[list[Any], list[Any]], Any]] = {  # for operators that fvcore has no formula for
    "aten::scaled_dot_product_attention": _named(ATTENTION, _attention),
    "aten::baddbmm": _named("baddbmm", _baddbmm),
}
