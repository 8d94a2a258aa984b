"""Processor and memory limits of a container, from Linux control groups (cgroups), versions 1 and 2.

In a container the kernel still reports all processors and all memory of the host. The cgroups of a process hold
its limits. A cgroup is also limited by each of its parents.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
GROUPS = PurePosixPath("sys/fs/cgroup")
UNLIMITED = 2**60  # bytes; version 1 reports a number near 2**63 if there is no limit


def processors(root: Path = ROOT) -> float | None:
    """Return the processor limit of this process's cgroups, such as 0.5; None without a limit or cgroups."""
    return _smallest_limit(_processor_limit, root)


def memory_bytes(root: Path = ROOT) -> int | None:
    """Return the memory limit of this process's cgroups; None without a limit or cgroups."""
    limit = _smallest_limit(_memory_limit, root)
    return None if limit is None else int(limit)


def _smallest_limit(read: Callable[[str, Path], float | None], root: Path) -> float | None:
    limits = [read(controller, folder) for controller, folder in _folders(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield controller and folder of every cgroup of this process, and of its parents.

    The controller is "" in version 2, and "cpu" or "memory" in version 1. If a container hides the parents, its
    own cgroup is the visible root.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, entry = line.partition(":")
        controllers, _, name = entry.partition(":")
        for controller in controllers.split(","):
            if controller in ("", "cpu", "memory"):
                # Version 1 mounts joint controllers under the joint name ("cpu,cpuacct") or under each name.
                base = root / GROUPS / controllers
                base = base if base.is_dir() else root / GROUPS / controller
                parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
                for end in range(len(parts), -1, -1):
                    yield controller, base.joinpath(*parts[:end])


def _processor_limit(controller: str, folder: Path) -> float | None:
    if controller == "":
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    elif controller == "cpu":
        quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    else:
        return None
    runtime, interval = _number(quota), _number(period)
    if runtime is None or interval is None or runtime <= 0 or interval <= 0:
        return None
    return runtime / interval


def _memory_limit(controller: str, folder: Path) -> float | None:
    names = {"": ("memory.max", "memory.high"), "memory": ("memory.limit_in_bytes",)}.get(controller, ())
    limits = [_number(_text(folder / name).strip()) for name in names]
    return min((limit for limit in limits if limit is not None and 0 < limit < UNLIMITED), default=None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # "max", or a missing file
        return None
    return value if math.isfinite(value) else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
