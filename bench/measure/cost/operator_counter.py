"""Count the arithmetic executed within a block, per operator, below autograd."""

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

from bench.measure.cost.cheap_operators import is_cheap, is_view
from bench.measure.cost.mac_formulas import NAMES, macs_of

_COMPOSITE = "CompositeImplicitAutograd"


@dataclass
class Tally:
    """Counts of executed operators."""

    macs: Counter[str] = field(default_factory=Counter)  # multiply-accumulates
    elements: int = 0  # elements in the results of all operators, without views
    uncounted: Counter[str] = field(default_factory=Counter)  # operator neither counted nor cheap -> calls
    uncounted_elements: Counter[str] = field(default_factory=Counter)  # the same operators -> elements in results

    @property
    def total_macs(self) -> int:
        """The MACs of all operators."""
        return sum(self.macs.values())

    @property
    def uncounted_share(self) -> dict[str, float]:
        """The share of all elements, in [0, 1], of each operator that is neither counted nor known to be cheap."""
        return {name: count / max(1, self.elements) for name, count in self.uncounted_elements.items()}

    def add(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Add one call of an operator."""
        elements = 0 if is_view(operator) else sum(x.numel() for x in tree_leaves(result) if isinstance(x, Tensor))
        self.elements += elements
        macs = macs_of(operator, args, kwargs, result)
        if macs:
            self.macs[_name(operator)] += macs
        elif macs is None and not is_cheap(operator):
            self.uncounted[_name(operator)] += 1
            self.uncounted_elements[_name(operator)] += elements

    def include(self, other: "Tally", times: int = 1) -> None:
        """Add another tally, ``times`` times."""
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
        if _is_composite(func):  # in inference mode, composite operators arrive here undecomposed
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        self._tally.add(func, args, kwargs, result)
        return result


@contextmanager
def counted() -> Iterator[Tally]:
    """Count all operators executed within the block."""
    tally = Tally()
    with explicitly(), _Counting(tally):
        yield tally


@contextmanager
def explicitly() -> Iterator[None]:
    """Compute attention by matrix products within the block, since no counter can look into fused kernels.

    The count is then the same on every device.
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
    """Return the ATen name; for operators of other libraries, with their namespace."""
    if not isinstance(operator, torch._ops.OpOverload):  # a higher-order operator, such as flex attention
        return str(operator)
    packet = operator._overloadpacket
    if packet in NAMES:
        return NAMES[packet]
    namespace, _, name = packet._qualified_op_name.partition("::")
    return name if namespace == "aten" else f"{namespace}::{name}"
