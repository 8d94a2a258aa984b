"""What a network costs: parameters, stored scalars, multiply-accumulates (MACs) and training FLOPs.

One MAC is one multiplication and one addition. fvcore counts MACs and calls them flops; torch's FlopCounterMode
counts 2 for each. Both are asked, and where they disagree nothing is reported.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import BenchError, ExitCode
from bench.measure.macs_handles import ATTENTION, CHEAP_OPERATORS, HANDLES, HEAVY_PREFIXES, MAC_OPERATORS

with warnings.catch_warnings():  # fvcore compiles a loss with torch.jit.script, which torch has deprecated
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis, parameter_count

LONG_LIST = 64  # Python numbers; a longer list in a network is a table, and counts as stored


class MeasurementError(BenchError):
    """Two ways of counting disagree, or an operator that matters is counted by neither."""

    exit_code = ExitCode.CONTRACT


@dataclass(frozen=True)
class ParameterCount:
    """Distinct parameters of some modules; ``by_module`` has those that own parameters directly."""

    total: int
    by_module: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class StoredScalars:
    """How many numbers a network stores, by where it keeps them."""

    parameters: int
    buffers: int
    plain: int  # tensors, arrays and long lists held as plain attributes


@dataclass(frozen=True)
class Macs:
    """The cost of one forward pass."""

    macs: int  # convolutions, matrix products, attention
    by_operator: dict[str, int]
    elementwise_ops: int  # fvcore's count for normalisation, pooling, resizing: not MACs
    uncounted: dict[str, int]  # operators without a count -> number of calls

    def times(self, count: int) -> "Macs":
        """The cost of ``count`` such passes."""
        by_operator = {name: macs * count for name, macs in self.by_operator.items()}
        uncounted = {name: calls * count for name, calls in self.uncounted.items()}
        return Macs(self.macs * count, by_operator, self.elementwise_ops * count, uncounted)

    def plus(self, other: "Macs") -> "Macs":
        """The cost of both."""
        by_operator = dict(Counter(self.by_operator) + Counter(other.by_operator))
        uncounted = dict(Counter(self.uncounted) + Counter(other.uncounted))
        elementwise = self.elementwise_ops + other.elementwise_ops
        return Macs(self.macs + other.macs, by_operator, elementwise, uncounted)


def count_parameters(modules: Mapping[str, nn.Module]) -> ParameterCount:
    """Distinct parameters of ``modules``, by fvcore; a tensor in two places counts once, at the first.

    Args:
        modules: Name -> module; a name may contain dots.
    """
    holder = nn.ModuleList(modules.values())
    total = int(parameter_count(holder)[""])
    seen: set[int] = set()
    rows = []
    for name, module in modules.items():
        for path, child in module.named_modules():
            own = [p for p in child.parameters(recurse=False) if id(p) not in seen]
            seen.update(map(id, own))
            if own:
                rows.append((f"{name}.{path}".rstrip("."), sum(p.numel() for p in own)))
    return ParameterCount(total, tuple(rows))


def stored_scalars(module: nn.Module) -> StoredScalars:
    """Every number that an inference network stores, each storage once.

    Buffers count whether or not they are in the state dict. Plain attributes are searched through lists,
    tuples, sets, dicts and objects; arrays and lists of more than 64 numbers count as well as tensors do.
    """
    seen: set[int] = set()

    def fresh(tensors: Iterator[Tensor]) -> int:
        count = 0
        for tensor in tensors:
            key = tensor.untyped_storage().data_ptr() if tensor.numel() else id(tensor)
            if key not in seen:
                seen.add(key)
                count += tensor.untyped_storage().nbytes() // tensor.element_size()
        return count

    parameters = fresh(module.parameters())
    buffers = fresh(module.buffers())
    plain = 0
    visited = {id(child) for child in module.modules()}
    for child in module.modules():
        for name, value in vars(child).items():
            if name not in ("_parameters", "_buffers", "_modules"):
                for found in _stored_in(value, visited):
                    plain += fresh(iter([found])) if isinstance(found, Tensor) else found
    return StoredScalars(parameters, buffers, plain)


def _stored_in(value: Any, visited: set[int]) -> Iterator[Tensor | int]:
    """Tensors, and sizes of arrays and long lists of numbers, reachable from a plain attribute."""
    if isinstance(value, str | bytes | int | float | bool | type) or id(value) in visited:
        return
    visited.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield int(value.size)
    elif isinstance(value, nn.Module):  # in a plain list or dict, where its parent does not see it
        yield from value.parameters()
        yield from value.buffers()
    elif isinstance(value, list | tuple | set | frozenset):
        numbers = sum(isinstance(item, int | float) for item in value)
        if numbers > LONG_LIST:
            yield numbers
        for item in value:
            yield from _stored_in(item, visited)
    elif isinstance(value, dict):
        yield from _stored_in(list(value.values()), visited)
    elif hasattr(value, "__dict__") and not callable(value):
        for item in vars(value).values():
            yield from _stored_in(item, visited)


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


def macs_per_image(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Macs:
    """The MACs of one forward pass of ``module(*args, **kwargs)``, traced by fvcore and checked against torch.

    Args:
        module: In eval mode; it is not changed.
        args: Inputs of batch size 1; what is no tensor is held fixed.
        kwargs: The same, by name.

    Raises:
        MeasurementError: If fvcore and torch's FlopCounterMode disagree, or the network uses an operator
            that costs and that neither counts; the operators are named.
    """
    call = _Call(module, args, kwargs or {})
    analysis = FlopCountAnalysis(call, call.tensors)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(**HANDLES)
    with torch.no_grad():
        try:
            counted = {name: int(count) for name, count in analysis.by_operator().items()}
        except (IndexError, AssertionError, KeyError) as error:  # shapes that fvcore's handles do not expect
            raise MeasurementError(
                f"fvcore cannot count this network ({type(error).__name__}: {error}); a product with a vector is "
                "written as one with a matrix of one column"
            ) from error
        unsupported = analysis.unsupported_ops()
        counter = FlopCounterMode(display=False)
        with counter:
            call(*call.tensors)
    by_operator = {name: count for name, count in counted.items() if name in MAC_OPERATORS and count}
    macs = sum(by_operator.values())
    uncounted = {name: int(calls) for name, calls in unsupported.items() if name not in CHEAP_OPERATORS}
    heavy = sorted(name for name in uncounted if name.startswith(HEAVY_PREFIXES))
    if heavy:
        raise MeasurementError(
            f"{', '.join(heavy)}: costs, and is counted by neither fvcore nor torch; it needs a handle in "
            "bench/measure/macs_handles.py"
        )
    of_torch = {str(name): flops // 2 for name, flops in counter.get_flop_counts().get("Global", {}).items()}
    checked = macs
    if not any("scaled_dot_product" in name for name in of_torch):  # torch 2.11 does not count it on a CPU
        checked -= by_operator.get(ATTENTION, 0)
    if 2 * checked != counter.get_total_flops():
        raise MeasurementError(
            f"fvcore counts {macs:,} MACs and torch {counter.get_total_flops() / 2:,.0f}; fvcore: {by_operator}, "
            f"torch: {of_torch}, counted by neither: {uncounted or 'nothing'}; an operator needs a handle in "
            "bench/measure/macs_handles.py"
        )
    elementwise = sum(count for name, count in counted.items() if name not in MAC_OPERATORS)
    return Macs(macs, by_operator, elementwise, uncounted)


def measured_flops(function: Callable[[], object]) -> int:
    """The FLOPs of convolutions and matrix products in one call, backward passes included; 2 a MAC."""
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward_flops}
    )
    with counter:
        function()
    return int(counter.get_total_flops())


def _convolution_backward_flops(  # noqa: PLR0913, PLR0917 - the operator's own arguments, tensors as shapes
    gradient: Sequence[int],
    x: Sequence[int],
    weight: Sequence[int],
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    wanted: Sequence[bool],
    **_: object,
) -> int:
    """Each of the two gradients takes as many FLOPs as the forward pass.

    torch's own formula leaves the groups out of the weight's gradient, and so counts a depthwise layer's
    number of channels times over.
    """
    positions = x if transposed else gradient  # where the kernel is laid
    forward = 2 * positions[0] * math.prod(positions[2:]) * math.prod(weight)
    return forward * (bool(wanted[0]) + bool(wanted[1]))
