"""What one sample of a generator costs, without waiting for a sampler of a thousand network evaluations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bench.measure.cost import FvcoreCount, InferenceCost, MeasurementError, fvcore_count
from bench.measure.counting import Tally, counted

COMPUTED = 16  # of alike evaluations in one sample; an adaptive solver that needs no more is followed exactly
EVERY = 32  # of later ones, for their cost may hang on the value of a time step
MOST_EVALUATIONS = 100_000  # of one image; a solver that waits for answers to change would never end


@dataclass
class Call:
    """Alike calls of a network: the first one's inputs, and what followed."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    count: int = 0
    computed: int = 0
    images: int = 1  # the batch size, that of the answer
    answer: Any = None
    spent: Tally = field(default_factory=Tally)  # by those that were computed, where it was asked for
    dearest: Tally = field(default_factory=Tally)  # of these


@dataclass
class Calls:
    """All calls of a network within a block, by what they were given."""

    alike: dict[tuple[Any, ...], Call] = field(default_factory=dict)

    @property
    def image_evaluations(self) -> int:
        """Network evaluations, each image of a batch counted as one."""
        return sum(call.count * call.images for call in self.alike.values())


@contextmanager
def recorded_calls(
    module: nn.Module, *, real: int | None = None, every: int = 0, costs: bool = False
) -> Iterator[Calls]:
    """Record the forward calls of ``module`` within the block.

    Args:
        module: What is called as ``module(...)``; it is left as it was.
        real: After this many computations on alike inputs the last answer is given again, so that a
            long sampler takes no time. None computes every call.
        every: Of the rest, every so many are computed; 0 for none.
        costs: Whether to count what is computed.
    """
    calls, forward = Calls(), module.forward

    def recorded(*args: Any, **kwargs: Any) -> Any:
        call = calls.alike.setdefault((_kind(args), _kind(kwargs)), Call(args, kwargs))
        call.count += 1
        chosen = real is None or call.computed < real or (every > 0 and call.count % every == 0)
        if chosen or _wants_a_gradient(args, kwargs):
            call.computed += 1
            call.answer = _compute(call, costs, lambda: forward(*args, **kwargs))
            call.images = _batch_size(call.answer)
            return call.answer
        if call.count > MOST_EVALUATIONS:
            raise MeasurementError(
                f"sample evaluates the network more than {MOST_EVALUATIONS:,} times per image; an adaptive solver "
                "needs a largest number of steps"
            )
        return call.answer.clone() if isinstance(call.answer, Tensor) else call.answer

    module.forward = recorded
    try:
        yield calls
    finally:
        del module.forward  # the instance's; the class's own shows again


def _compute(call: Call, costs: bool, forward: Callable[[], Any]) -> Any:
    if not costs:
        return forward()
    with counted() as spent:
        answer = forward()
    call.spent.include(spent)
    if spent.total_macs >= call.dearest.total_macs:
        call.dearest = spent
    return answer


def _wants_a_gradient(args: Any, kwargs: Any) -> bool:
    """Whether the sampler is to follow the network's slope, which an old answer does not have."""
    given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    return torch.is_grad_enabled() and any(value.requires_grad for value in given)


def _kind(value: Any) -> Any:
    """What makes calls alike: shapes, the number of arguments, and switches, but not the value of a time step."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, list | tuple):
        return tuple(map(_kind, value))
    if isinstance(value, dict):
        return tuple((key, _kind(item)) for key, item in value.items())
    return value if isinstance(value, bool | str | type(None)) else type(value)


def _batch_size(answer: Any) -> int:
    return next((len(x) for x in tree_leaves(answer) if isinstance(x, Tensor) and x.dim() > 0), 1)


def sampling_cost(model: nn.Module, sample_one: Callable[[], object]) -> InferenceCost:
    """Count the network evaluations of one sample and their MACs.

    Every call is counted. Of alike ones the first few are computed and some of the later ones, and one is traced
    by fvcore; the others are taken to cost what the dearest of them does.

    Args:
        model: In eval mode.
        sample_one: Draws one image with ``model``.

    Raises:
        MeasurementError: If the network is never called, or without an end.
    """
    with counted() as ran, recorded_calls(model, real=COMPUTED, every=EVERY, costs=True) as calls:
        sample_one()
    if not calls.alike:
        raise MeasurementError("sample never called the model; call it as model(...) so that it is counted")
    inside, by_fvcore = Tally(), FvcoreCount(0)
    for call in calls.alike.values():
        inside.include(call.spent)
        inside.include(call.dearest, call.count - call.computed)
        ran.include(call.dearest, call.count - call.computed)
        by_fvcore = by_fvcore.plus(fvcore_count(model, call.args, call.kwargs).times(call.count))
    return InferenceCost(ran, inside.total_macs, by_fvcore, calls.image_evaluations)
