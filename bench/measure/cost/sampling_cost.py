"""Measure the cost of one generated sample without computing all of a long sampler's network evaluations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bench.measure.cost.forward_cost import FvcoreCount, InferenceCost, MeasurementError, fvcore_count
from bench.measure.cost.operator_counter import Tally, counted

COMPUTED = 16  # first calls of each signature that are computed; a solver with at most so many is measured exactly
EVERY = 32  # afterwards, one call in so many is computed, since the cost may depend on the time step's value
MOST_EVALUATIONS = 100_000  # per image; a solver that waits for outputs to change would never end


@dataclass
class Call:
    """All calls of a network with the same signature: the inputs of the first call, and totals."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    count: int = 0
    computed: int = 0
    images: int = 1  # batch size of the output
    output: Any = None  # of the last computed call
    spent: Tally = field(default_factory=Tally)  # total cost of the computed calls, if costs are counted
    most_expensive: Tally = field(default_factory=Tally)  # cost of the most expensive computed call


@dataclass
class Calls:
    """All calls of a network within a block, grouped by signature."""

    alike: dict[tuple[Any, ...], Call] = field(default_factory=dict)

    @property
    def image_evaluations(self) -> int:
        """Number of network evaluations; a batch counts as one evaluation per image."""
        return sum(call.count * call.images for call in self.alike.values())


@contextmanager
def recorded_calls(
    module: nn.Module, *, real: int | None = None, every: int = 0, costs: bool = False
) -> Iterator[Calls]:
    """Record the forward calls of ``module`` within the block.

    Args:
        module: The network, called as ``module(...)``; its ``forward`` is restored afterwards.
        real: Number of calls of each signature to compute. Later calls return a copy of the last output, so that a
            long sampler takes little time. None computes every call.
        every: After these, compute every n-th call; 0 for none.
        costs: Whether to count the operators of computed calls.
    """
    calls, forward = Calls(), module.forward

    def recorded(*args: Any, **kwargs: Any) -> Any:
        call = calls.alike.setdefault((_signature(args), _signature(kwargs)), Call(args, kwargs))
        call.count += 1
        selected = real is None or call.computed < real or (every > 0 and call.count % every == 0)
        if selected or _requires_gradient(args, kwargs):
            call.computed += 1
            call.output = _compute(call, costs, lambda: forward(*args, **kwargs))
            call.images = _batch_size(call.output)
            return call.output
        if call.count > MOST_EVALUATIONS:
            raise MeasurementError(
                f"sample evaluates the network more than {MOST_EVALUATIONS:,} times per image; limit the "
                "number of steps of an adaptive solver"
            )
        return call.output.clone() if isinstance(call.output, Tensor) else call.output

    module.forward = recorded
    try:
        yield calls
    finally:
        del module.forward  # the instance attribute; the class's method is visible again


def _compute(call: Call, costs: bool, forward: Callable[[], Any]) -> Any:
    if not costs:
        return forward()
    with counted() as spent:
        output = forward()
    call.spent.include(spent)
    if spent.total_macs >= call.most_expensive.total_macs:
        call.most_expensive = spent
    return output


def _requires_gradient(args: Any, kwargs: Any) -> bool:
    """Return whether the sampler differentiates the call; a repeated output has no graph for this."""
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _signature(value: Any) -> Any:
    """Return what calls of a group share: structure, shapes, dtypes, bools, strings and types of numbers."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, list | tuple):
        return tuple(map(_signature, value))
    if isinstance(value, dict):
        return tuple((key, _signature(item)) for key, item in value.items())
    return value if isinstance(value, bool | str | type(None)) else type(value)


def _batch_size(output: Any) -> int:
    return next((len(x) for x in tree_leaves(output) if isinstance(x, Tensor) and x.dim() > 0), 1)


def sampling_cost(model: nn.Module, sample_one: Callable[[], object]) -> InferenceCost:
    """Count the network evaluations of one sample, and their MACs.

    Every call is counted. For each signature, the first 16 calls and every 32nd later call are computed, and one
    is traced by fvcore. Other calls are assumed to cost as much as the most expensive computed one.

    Args:
        model: In eval mode.
        sample_one: Draws one image with ``model``.

    Raises:
        MeasurementError: If the network is never called, or more than 100,000 times.
    """
    with counted() as ran, recorded_calls(model, real=COMPUTED, every=EVERY, costs=True) as calls:
        sample_one()
    if not calls.alike:
        raise MeasurementError("sample never calls the model; call it as model(...) so that its cost is counted")
    inside, by_fvcore = Tally(), FvcoreCount(0)
    for call in calls.alike.values():
        inside.include(call.spent)
        inside.include(call.most_expensive, call.count - call.computed)
        ran.include(call.most_expensive, call.count - call.computed)
        by_fvcore = by_fvcore.plus(fvcore_count(model, call.args, call.kwargs).times(call.count))
    return InferenceCost(ran, inside.total_macs, by_fvcore, calls.image_evaluations)
