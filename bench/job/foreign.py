"""Tensors that a network reads and that are in none of its state: weights in a global, a closure, a default."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
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
        self.foreign: dict[int, int] = {}  # storage -> scalars

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value.numel() > 0:
                storage = value.untyped_storage().data_ptr()
                if storage not in self.known:
                    self.foreign[storage] = max(self.foreign.get(storage, 0), value.numel())
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self.kept.append(value)
                self.known.add(value.untyped_storage().data_ptr())
        return result


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
    with torch.no_grad(), _Reads(own) as reads:
        run()
    scalars = sum(reads.foreign.values())
    if scalars > ALLOWED_SCALARS:
        raise ContractError(
            f"hidden parameters: it reads {scalars:,} scalars that are in no state of the model (a global, a "
            f"closure, a default), {ALLOWED_SCALARS} are allowed; make them parameters or buffers"
        )
