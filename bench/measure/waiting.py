"""Where code makes the host wait for the device: a step that never does can be queued far ahead of a GPU."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Operators whose result the host has to see: a value, or a shape that depends on values.
WAITING = (
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "allclose",
)  # fmt: skip
# torch's optimizers keep their step counters on the CPU and read them there.
EXEMPT = Path(torch.__file__).parent / "optim"


class WaitRecorder(TorchDispatchMode):
    """Notes every operator that would make the host wait, and where it was called.

    It works on a CPU too, where nothing waits: what is noted is what would wait on a GPU.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        """Start with nothing noted.

        Args:
            folders: Whose lines are named where one of them led to the call; else the innermost line is.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: list[str] = []
        self._folders = [folder.resolve() for folder in folders]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITING or _by_mask(name, args) or (name == "_to_copy" and _leaves_device(args, kwargs or {})):
            place = self._place()
            if place is not None:
                self.waits.append(f"{place}: {name}")
        return func(*args, **(kwargs or {}))

    def _place(self) -> str | None:
        """Where the call came from; None for a call of torch's optimizers."""
        frames = [frame for frame in traceback.extract_stack() if Path(frame.filename) != Path(__file__)]
        if any(Path(frame.filename).is_relative_to(EXEMPT) for frame in frames):
            return None
        for frame in reversed(frames):
            if any(Path(frame.filename).is_relative_to(folder) for folder in self._folders):
                return f"{Path(frame.filename).name}, line {frame.lineno}"
        own = [frame for frame in frames if "/torch/" not in frame.filename]
        return f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else "torch"


def _by_mask(name: str, args: Sequence[Any]) -> bool:
    """Whether something is picked by a mask: how much that is, only the device knows."""
    if name not in ("index", "index_put", "index_put_"):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _leaves_device(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a copy goes from a GPU to the host, and is waited for."""
    target = kwargs.get("device")
    comes = args and isinstance(args[0], torch.Tensor) and args[0].device.type != "cpu"
    return bool(comes and target is not None and torch.device(target).type == "cpu")
