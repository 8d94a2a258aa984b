"""Detect external tensors: numbers that a network reads from outside of its state.

Examples are weights in a global variable, a closure or a default argument.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.errors import ContractError
from bench.job.checks.counted_parameters import plain_tensors

# Enough for legitimate constants such as a channel mean or a small kernel.
ALLOWED_SCALARS = 256


class _Reads(TorchDispatchMode):
    """A mode that records which tensors operators read, except known ones and results of earlier operators."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.results: list[Tensor] = []  # kept alive, so that no memory address is reused
        self.initially_known = frozenset(self.known)
        self.external: dict[int, int] = {}  # address of the storage -> scalars read
        self.unpacked = 0  # scalars of a known tensor whose bytes are read as several numbers

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value.numel() > 0:
                storage = value.untyped_storage().data_ptr()
                if storage not in self.known:
                    self.external[storage] = max(self.external.get(storage, 0), value.numel())
        result = func(*args, **(kwargs or {}))
        narrower = func is torch.ops.aten.view.dtype and result.itemsize < args[0].itemsize
        if narrower and args[0].untyped_storage().data_ptr() in self.initially_known:
            self.unpacked = max(self.unpacked, args[0].numel())
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self.results.append(value)
                self.known.add(value.untyped_storage().data_ptr())
        return result


class _NoNumpy(TorchFunctionMode):
    """A mode that refuses to convert activations to numpy, where neither reads nor operations are counted."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("numpy", "__array__") and args[0].numel() > 1 and args[0].is_floating_point():
            raise ContractError(
                f"the network passes {args[0].numel():,} numbers to numpy in predict or sample, where the harness "
                "can count neither operations nor parameters; use torch operations"
            )
        return func(*args, **(kwargs or {}))


def check_external_tensors(model: nn.Module, inputs: Iterable[Tensor], run: Callable[[], object]) -> None:
    """Refuse a network that reads more than ``ALLOWED_SCALARS`` scalars from external tensors.

    Args:
        model: The network; its parameters, buffers and plain tensors are not external.
        inputs: The tensors passed to it, which are not external either.
        run: A function that calls it.

    Raises:
        ContractError: With the number of external scalars; also if the bytes of a known tensor are read as several
            numbers each, or activations are converted to numpy.
    """
    known = [*model.parameters(), *model.buffers(), *(tensor for _, tensor in plain_tensors(model)), *inputs]
    with torch.no_grad(), _Reads(known) as reads, _NoNumpy():
        run()
    if reads.unpacked:
        raise ContractError(
            f"hidden parameters: the network reads the bytes of {reads.unpacked:,} scalars as several numbers "
            "each; store each number as one scalar"
        )
    scalars = sum(reads.external.values())
    if scalars > ALLOWED_SCALARS:
        raise ContractError(
            f"hidden parameters: the network reads {scalars:,} scalars from external tensors (a global, a "
            f"closure, a default argument), {ALLOWED_SCALARS} are allowed; register them as parameters or buffers"
        )
