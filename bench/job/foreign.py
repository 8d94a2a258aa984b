"""Tensors that a network reads and that are in none of its state: weights in a global, a closure, a default."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.errors import ContractError
from bench.job.accounting import plain_tensors

# Constants that have a right to be there: a channel's mean, a small kernel.
ALLOWED_SCALARS = 256


class _Reads(TorchDispatchMode):
    """Notes every tensor that an operator reads and that no earlier operator of this call has made."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.kept: list[Tensor] = []  # alive, so that no address is used twice
        self.own = frozenset(self.known)
        self.foreign: dict[int, int] = {}  # storage -> scalars
        self.unpacked = 0  # scalars of one's own whose bytes are read as several numbers

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value.numel() > 0:
                storage = value.untyped_storage().data_ptr()
                if storage not in self.known:
                    self.foreign[storage] = max(self.foreign.get(storage, 0), value.numel())
        result = func(*args, **(kwargs or {}))
        narrower = func is torch.ops.aten.view.dtype and result.itemsize < args[0].itemsize
        if narrower and args[0].untyped_storage().data_ptr() in self.own:
            self.unpacked = max(self.unpacked, args[0].numel())
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self.kept.append(value)
                self.known.add(value.untyped_storage().data_ptr())
        return result


class _InTorch(TorchFunctionMode):
    """Refuses to hand activations to numpy, where nobody counts and nobody sees what is read."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("numpy", "__array__") and args[0].numel() > 1 and args[0].is_floating_point():
            raise ContractError(
                f"hands {args[0].numel():,} numbers to numpy while it predicts or samples, where neither what it "
                "costs nor what it reads can be seen; write it in torch"
            )
        return func(*args, **(kwargs or {}))


def refuse_foreign(model: nn.Module, inputs: Iterable[Tensor], run: Callable[[], object]) -> None:
    """Refuse a network whose output hangs on many numbers that are not its own.

    Args:
        model: Its parameters, buffers and plain tensors are its own.
        inputs: What it is given.
        run: Calls it.

    Raises:
        ContractError: With how many scalars it reads from elsewhere.
    """
    own = [*model.parameters(), *model.buffers(), *(tensor for _, tensor in plain_tensors(model)), *inputs]
    with torch.no_grad(), _Reads(own) as reads, _InTorch():
        run()
    if reads.unpacked:
        raise ContractError(
            f"hidden parameters: it reads the bytes of {reads.unpacked:,} scalars as several numbers each; give "
            "every number a scalar of its own"
        )
    scalars = sum(reads.foreign.values())
    if scalars > ALLOWED_SCALARS:
        raise ContractError(
            f"hidden parameters: it reads {scalars:,} scalars that are in no state of the model (a global, a "
            f"closure, a default), {ALLOWED_SCALARS} are allowed; make them parameters or buffers"
        )
