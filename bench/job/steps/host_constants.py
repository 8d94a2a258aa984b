"""Constants from the host in a recorded step: tensors that ``torch.tensor`` makes of Python numbers.

Each is a copy from pageable memory of the host, which a CUDA graph cannot record. A recorded step gets the tensors
that the eager step before it has made of the same numbers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class HostConstants(TorchFunctionMode):
    """Keeps what ``torch.tensor`` makes in a step, and returns copies of it while a step is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.recording = False
        self._made: dict[str, Tensor] = {}  # call -> its result

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func``, or return a copy of what the same call returned before."""
        kwargs = kwargs or {}
        if func is not torch.tensor or any(isinstance(value, Tensor) for value in args):
            return func(*args, **kwargs)
        call = f"{args!r} {sorted(kwargs.items())!r}"
        if self.recording and call in self._made:
            return self._made[call].clone()  # a step may change it in place
        made = func(*args, **kwargs)
        if not self.recording and isinstance(made, Tensor) and not made.requires_grad:
            self._made[call] = made.clone()
        return made
