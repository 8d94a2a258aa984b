"""Counting the arithmetic that runs within a block, operator by operator, below autograd."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.cheap_operators import is_cheap, is_view
from bench.measure.products import NAMES, macs_of

_COMPOSITE = "CompositeImplicitAutograd"


@dataclass
class Tally:
    """What has run, by operator."""

    macs: Counter[str] = field(default_factory=Counter)  # multiply-accumulates
    elements: int = 0  # numbers that all operators gave, views left out
    uncounted: Counter[str] = field(default_factory=Counter)  # neither counted nor cheap -> calls
    uncounted_elements: Counter[str] = field(default_factory=Counter)  # likewise -> numbers that they gave

    @property
    def total_macs(self) -> int:
        """Of all operators."""
        return sum(self.macs.values())

    @property
    def uncounted_share(self) -> dict[str, float]:
        """Of all elements, in [0, 1], what each operator gave that has no count and is not known to be cheap."""
        return {name: given / max(1, self.elements) for name, given in self.uncounted_elements.items()}

    def add(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Enter one call."""
        given = 0 if is_view(operator) else sum(x.numel() for x in tree_leaves(result) if isinstance(x, Tensor))
        self.elements += given
        macs = macs_of(operator, args, kwargs, result)
        if macs:
            self.macs[_name(operator)] += macs
        elif macs is None and not is_cheap(operator):
            self.uncounted[_name(operator)] += 1
            self.uncounted_elements[_name(operator)] += given

    def include(self, other: "Tally", times: int = 1) -> None:
        """Enter all that another has, so many times."""
        self.elements += other.elements * times
        for mine, theirs in (
            (self.macs, other.macs),
            (self.uncounted, other.uncounted),
            (self.uncounted_elements, other.uncounted_elements),
        ):
            for name, value in theirs.items():
                mine[name] += value * times


class _Counting(TorchDispatchMode):
    supports_higher_order_operators = True

    def __init__(self, tally: Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tally = tally

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_composite(func):  # in inference mode they arrive here whole
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        self._tally.add(func, args, kwargs, result)
        return result


@contextmanager
def counted() -> Iterator[Tally]:
    """Count all that runs within the block."""
    tally = Tally()
    with explicitly(), _Counting(tally):
        yield tally


@contextmanager
def explicitly() -> Iterator[None]:
    """Meanwhile attention is computed by matrix products, without fused kernels into which no counter can see.

    Its count is then the same on every device.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _is_composite(operator: Any) -> bool:
    return isinstance(operator, torch._ops.OpOverload) and torch._C._dispatch_has_kernel_for_dispatch_key(
        operator.name(), _COMPOSITE
    )


def _name(operator: Any) -> str:
    """As torch calls it; of other libraries with theirs."""
    if not isinstance(operator, torch._ops.OpOverload):  # of higher order, such as flex attention
        return str(operator)
    packet = operator._overloadpacket
    if packet in NAMES:
        return NAMES[packet]
    namespace, _, name = packet._qualified_op_name.partition("::")
    return name if namespace == "aten" else f"{namespace}::{name}"
