"""What one sample of a generator costs, without waiting for a sampler of a thousand network evaluations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bench.measure.cost import Macs, MeasurementError, macs_per_image, measured_flops


@dataclass
class Call:
    """Calls of a network on inputs of one size: the first one's inputs, and how many followed."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    count: int = 0
    answer: Any = None

    @property
    def images(self) -> int:
        """The batch size: the length of the first tensor."""
        return next((len(value) for value in (*self.args, *self.kwargs.values()) if isinstance(value, Tensor)), 1)


@dataclass
class Calls:
    """All calls of a network within a block, by the sizes of their inputs."""

    by_size: dict[tuple[Any, ...], Call] = field(default_factory=dict)

    @property
    def image_evaluations(self) -> int:
        """Network evaluations, each image of a batch counted as one."""
        return sum(call.count * call.images for call in self.by_size.values())


@contextmanager
def recorded_calls(module: nn.Module, *, real: int | None = None) -> Iterator[Calls]:
    """Record the forward calls of ``module`` within the block.

    Args:
        module: What is called as ``module(...)``; it is left as it was.
        real: After this many computations on inputs of one size the last answer is given again, so that a
            long sampler takes no time. None computes every call.
    """
    calls, forward = Calls(), module.forward

    def recorded(*args: Any, **kwargs: Any) -> Any:
        size = tuple(map(_size, (*args, *kwargs, *kwargs.values())))
        call = calls.by_size.setdefault(size, Call(args, kwargs))
        call.count += 1
        if real is None:
            return forward(*args, **kwargs)
        if call.count <= real:
            call.answer = forward(*args, **kwargs)
        return call.answer.clone() if isinstance(call.answer, Tensor) else call.answer

    module.forward = recorded
    try:
        yield calls
    finally:
        del module.forward  # the instance's; the class's own shows again


def _size(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else str(value)


@dataclass(frozen=True)
class SamplingCost:
    """The cost of one image."""

    evaluations: int  # of the network
    macs: Macs  # of all of them


def sampling_cost(model: nn.Module, sample_one: Callable[[], object]) -> SamplingCost:
    """Count the network evaluations of one sample and their MACs.

    Every call is counted; one of each size is computed and traced.

    Args:
        model: In eval mode.
        sample_one: Draws one image with ``model``.

    Raises:
        MeasurementError: If the network is never called, or convolutions or matrix products happen outside
            of its calls.
    """
    with recorded_calls(model, real=1) as calls:
        flops = measured_flops(sample_one)
    if not calls.by_size:
        raise MeasurementError("sample never called the model; call it as model(...) so that it is counted")
    total, inside = Macs(0, {}, 0, {}), 0
    for call in calls.by_size.values():
        macs = macs_per_image(model, call.args, call.kwargs)
        total = total.plus(macs.times(call.count))
        inside += measured_flops(lambda call=call: model(*call.args, **call.kwargs))  # type: ignore[misc]
    if flops != inside:
        raise MeasurementError(
            f"sample does {(flops - inside) // 2:,} MACs outside of the network's calls; whatever multiplies "
            "matrices or convolves has to be in model(...)"
        )
    return SamplingCost(calls.image_evaluations, total)
