"""Find host-device synchronisations: code that makes the host wait for the GPU.

A step without them can be queued far ahead of the GPU. There are three kinds: the host reads a value, a shape
depends on values, or host data are copied to the device. On a GPU the driver reports them (torch's sync debug
mode). On a CPU, where nothing waits, they are found by the operators and calls that would wait on a GPU.
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

# Operators whose result the host has to read: a value, or a shape that depends on values.
WAITING = (
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "allclose",
)  # fmt: skip
# Exempt code. torch's optimizers keep their step counters on the CPU and read them there. AugMix groups images by
# operation only on a CPU; a test on the device "meta" shows that it does not wait on other devices.
EXEMPT = (Path(torch.__file__).parent / "optim", REPOSITORY / "bench" / "augment" / "_operations.py")
# Names of calls that dispatch no recognisable operator on a CPU.
TO_HOST = ("cpu", "numpy", "tolist", "__array__")
MOVES = ("to", "cuda", "type_as")
FROM_NUMPY = "lift_fresh.default"
FROM_VALUES = ("tensor", "as_tensor", "asarray")
OWN_FILES = (__file__, warnings.__file__)
SYNCHRONIZING = "called a synchronizing"  # start of torch's warning


class WaitRecorder:
    """A recorder of the calls, with their lines, that make the host wait or would do so on a GPU."""

    def __init__(self, folders: Sequence[Path] = (), device: str = "cpu") -> None:
        """Start with an empty list.

        Args:
            folders: If a stack frame of a call lies in one of these, its line is reported; otherwise the innermost
                line outside torch.
            device: The device that the code runs on; on "cuda" the driver's warnings are used.
        """
        self.waits: list[str] = []
        self._folders = [folder.resolve() for folder in folders]
        self._device = device
        self._modes = ExitStack()

    def __enter__(self) -> "WaitRecorder":
        self._modes.enter_context(_WaitingOperators(self.note))
        if self._device.startswith("cuda"):
            self._modes.enter_context(_driver_warnings(self.note))
        else:
            self._modes.enter_context(_WaitingCalls(self.note))
        return self

    def __exit__(self, *_: object) -> None:
        self._modes.close()

    def note(self, name: str) -> None:
        """Record the current call under ``name``, unless it comes from exempt code."""
        frames = [frame for frame in traceback.extract_stack() if frame.filename not in OWN_FILES]
        if any(Path(frame.filename).is_relative_to(path) for frame in frames for path in EXEMPT):
            return
        outside = [frame for frame in frames if "/torch/" not in frame.filename]
        inside = [frame for frame in outside if any(Path(frame.filename).is_relative_to(f) for f in self._folders)]
        location = "torch"
        for frame in (inside or outside)[-1:]:
            location = f"{Path(frame.filename).name}, line {frame.lineno}"
        self.waits.append(f"{location}: {name}")


class _WaitingOperators(TorchDispatchMode):
    """A mode that detects operators that wait on any device, and copies between host and device."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._note = note

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        if name in WAITING or _indexes_by_mask(name, args) or _copies_between_devices(name, args, kwargs):
            self._note(name)
        return func(*args, **kwargs)


def _indexes_by_mask(name: str, args: Sequence[Any]) -> bool:
    """Return whether elements are selected by a mask, so that the result's shape depends on values."""
    if name not in ("index", "index_put", "index_put_"):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _copies_between_devices(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether the call is a blocking copy between the host and a GPU."""
    if name == "_to_copy" and kwargs.get("device") is not None:
        devices = {args[0].device.type, torch.device(kwargs["device"]).type}
        return "cpu" in devices and len(devices) == 2 and not kwargs.get("non_blocking", False)
    if name == "copy_" and isinstance(args[1], Tensor):
        devices = {args[0].device.type, args[1].device.type}
        blocking = not any(args[2:]) and not kwargs.get("non_blocking", False)
        return "cpu" in devices and len(devices) == 2 and blocking
    return False


class _WaitingCalls(TorchFunctionMode):
    """A mode that detects, on a CPU, calls that would copy between host and device if the code ran on a GPU.

    It tracks which tensors would then still be on the host.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note
        self._host: dict[
            int, weakref.ref[Tensor]
        ] = {}  # tensors created without a device, and results computed from them

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = list(_tensors((args, kwargs)))
        on_host = bool(tensors) and all(self._is_host(tensor) for tensor in tensors)
        result = func(*args, **kwargs)
        if self._waits(name, args, kwargs, tensors, on_host=on_host):
            self._note(name)
        elif isinstance(result, Tensor) and name not in MOVES:
            created_on_host = name == FROM_NUMPY or (not tensors and kwargs.get("device") is None)
            if on_host or created_on_host:
                self._host[id(result)] = weakref.ref(result)
        return result

    def _is_host(self, tensor: Tensor) -> bool:
        known = self._host.get(id(tensor))
        return known is not None and known() is tensor

    def _waits(
        self, name: str, args: Sequence[Any], kwargs: dict[str, Any], tensors: list[Tensor], *, on_host: bool
    ) -> bool:
        if name in FROM_VALUES:
            return not tensors and kwargs.get("device") is not None
        if name == "new_tensor":
            return not on_host
        if name == "__getitem__":
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            return not self._is_host(args[0]) and any(isinstance(part, list) for part in index)
        if name in MOVES:
            return (
                self._is_host(args[0])
                and not kwargs.get("non_blocking", False)
                and _names_device(name, args, kwargs)
            )
        return name in TO_HOST and not on_host and bool(tensors)


def _names_device(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether a conversion names a device, not only a dtype."""
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
def _driver_warnings(note: Callable[[str], None]) -> Iterator[None]:
    """Run the block in torch's sync debug mode and pass its warnings to ``note``."""
    show_other, before = warnings.showwarning, torch.cuda.get_sync_debug_mode()

    def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        if str(message).startswith(SYNCHRONIZING):
            note(str(message).removesuffix("\n").partition(" (Triggered")[0])
        else:
            show_other(message, *args, **kwargs)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=SYNCHRONIZING)
        warnings.showwarning = show
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
