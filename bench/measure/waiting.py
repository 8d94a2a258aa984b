"""Where code makes the host wait for the device: a step that never does can be queued far ahead of a GPU.

Three ways of waiting: the host asks for a value, a shape hangs on values, or numbers of the host are copied to the
device. On a GPU the driver itself tells them (torch's sync debug mode); on a CPU, where nothing waits, they are
found by the operators and calls that would.
"""

import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.files import REPOSITORY

# Operators whose result the host has to see: a value, or a shape that depends on values.
WAITING = (
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "allclose",
)  # fmt: skip
# torch's optimizers keep their step counters on the CPU and read them there; AugMix groups images by operation on
# a CPU only (that nothing waits elsewhere is tested on the device "meta").
EXEMPT = (Path(torch.__file__).parent / "optim", REPOSITORY / "bench" / "augment" / "_operations.py")
# Calls, by name, that no operator shows on a CPU.
TO_HOST = ("cpu", "numpy", "tolist", "__array__")
MOVES = ("to", "cuda", "type_as")
FROM_NUMPY = "lift_fresh.default"
FROM_VALUES = ("tensor", "as_tensor", "asarray")
OWN = (__file__, warnings.__file__)
SYNCHRONIZING = "called a synchronizing"  # how torch's warning begins


class WaitRecorder:
    """Notes every call that makes the host wait, or on a GPU would, and its line."""

    def __init__(self, folders: Sequence[Path] = (), device: str = "cpu") -> None:
        """Start with nothing noted.

        Args:
            folders: Whose lines are named where one of them led to the call; else the innermost line is.
            device: That the code works on: on "cuda" the driver is asked.
        """
        self.waits: list[str] = []
        self._folders = [folder.resolve() for folder in folders]
        self._device = device
        self._modes = ExitStack()

    def __enter__(self) -> "WaitRecorder":
        self._modes.enter_context(_Operators(self.note))
        if self._device.startswith("cuda"):
            self._modes.enter_context(_told_by_the_driver(self.note))
        else:
            self._modes.enter_context(_Calls(self.note))
        return self

    def __exit__(self, *_: object) -> None:
        self._modes.close()

    def note(self, what: str) -> None:
        """Note a call of this moment, unless it is an exempt one."""
        frames = [frame for frame in traceback.extract_stack() if frame.filename not in OWN]
        if any(Path(frame.filename).is_relative_to(path) for frame in frames for path in EXEMPT):
            return
        own = [frame for frame in frames if "/torch/" not in frame.filename]
        named = [frame for frame in own if any(Path(frame.filename).is_relative_to(f) for f in self._folders)]
        place = "torch"
        for frame in (named or own)[-1:]:
            place = f"{Path(frame.filename).name}, line {frame.lineno}"
        self.waits.append(f"{place}: {what}")


class _Operators(TorchDispatchMode):
    """Operators that wait on any device, and copies between two."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._note = note

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        if name in WAITING or _by_mask(name, args) or _crosses(name, args, kwargs):
            self._note(name)
        return func(*args, **kwargs)


def _by_mask(name: str, args: Sequence[Any]) -> bool:
    """Whether something is picked by a mask: how much that is, only the device knows."""
    if name not in ("index", "index_put", "index_put_"):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _crosses(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a copy goes between a GPU and the host, and is waited for."""
    if name == "_to_copy" and kwargs.get("device") is not None:
        ends = {args[0].device.type, torch.device(kwargs["device"]).type}
        return "cpu" in ends and len(ends) == 2 and not kwargs.get("non_blocking", False)
    if name == "copy_" and isinstance(args[1], Tensor):
        ends = {args[0].device.type, args[1].device.type}
        return "cpu" in ends and len(ends) == 2 and not any(args[2:]) and not kwargs.get("non_blocking", False)
    return False


class _Calls(TorchFunctionMode):
    """On a CPU: what would be on the host if the rest were on a GPU, and where it would be copied."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note
        self._host: dict[int, weakref.ref[Tensor]] = {}  # tensors that nobody has asked to have on a device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = list(_tensors((args, kwargs)))
        on_host = bool(given) and all(self._is_host(tensor) for tensor in given)
        result = func(*args, **kwargs)
        if self._waits(name, args, kwargs, given, on_host=on_host):
            self._note(name)
        elif isinstance(result, Tensor) and name not in MOVES:
            made_here = name == FROM_NUMPY or (not given and kwargs.get("device") is None)
            if on_host or made_here:
                self._host[id(result)] = weakref.ref(result)
        return result

    def _is_host(self, tensor: Tensor) -> bool:
        known = self._host.get(id(tensor))
        return known is not None and known() is tensor

    def _waits(
        self, name: str, args: Sequence[Any], kwargs: dict[str, Any], given: list[Tensor], *, on_host: bool
    ) -> bool:
        if name in FROM_VALUES:
            return not given and kwargs.get("device") is not None
        if name == "new_tensor":
            return not on_host
        if name == "__getitem__":
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            return not self._is_host(args[0]) and any(isinstance(part, list) for part in index)
        if name in MOVES:
            return (
                self._is_host(args[0])
                and not kwargs.get("non_blocking", False)
                and _names_a_place(name, args, kwargs)
            )
        return name in TO_HOST and not on_host and bool(given)


def _names_a_place(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a move says where to, and not only of which dtype."""
    if name != "to" or "device" in kwargs:
        return True
    return len(args) > 1 and isinstance(args[1], str | torch.device | Tensor)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


@contextmanager
def _told_by_the_driver(note: Callable[[str], None]) -> Iterator[None]:
    """Torch's sync debug mode, whose warnings are noted."""
    shown, before = warnings.showwarning, torch.cuda.get_sync_debug_mode()

    def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        if str(message).startswith(SYNCHRONIZING):
            note(str(message).removesuffix("\n").partition(" (Triggered")[0])
        else:
            shown(message, *args, **kwargs)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=SYNCHRONIZING)
        warnings.showwarning = show
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
