"""What a container leaves of the machine: processors and memory, by Linux's control groups of either version.

A container shares its host's kernel, which goes on telling of all processors and all memory. Its groups say how
much of these its processes get; a group gets no more than each one that it lies in.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
GROUPS = PurePosixPath("sys/fs/cgroup")
UNLIMITED = 2**60  # bytes; version 1 writes a number near 2**63 for no limit


def processors(root: Path = ROOT) -> float | None:
    """How many processors' time this process's groups get, such as 0.5; None for no limit, or no groups."""
    return _least(_processors_of, root)


def memory_bytes(root: Path = ROOT) -> int | None:
    """How much memory they get; None for no limit, or no groups."""
    least = _least(_memory_of, root)
    return None if least is None else int(least)


def _least(read: Callable[[str, Path], float | None], root: Path) -> float | None:
    found = [read(controller, folder) for controller, folder in _folders(root)]
    return min((value for value in found if value is not None), default=None)


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Every group that this process is in: "" (version 2), "cpu" or "memory" (version 1), and its folder.

    Where a container hides what its group lies in, its own is the root of what it sees.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        for controller in controllers.split(","):
            if controller in ("", "cpu", "memory"):
                # Version 1 mounts what goes together under both names, or under each.
                base = root / GROUPS / controllers
                base = base if base.is_dir() else root / GROUPS / controller
                parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
                for end in range(len(parts), -1, -1):
                    yield controller, base.joinpath(*parts[:end])


def _processors_of(controller: str, folder: Path) -> float | None:
    if controller == "":
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    elif controller == "cpu":
        quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    else:
        return None
    given, of = _number(quota), _number(period)
    return given / of if given is not None and of is not None and given > 0 and of > 0 else None


def _memory_of(controller: str, folder: Path) -> float | None:
    names = {"": ("memory.max", "memory.high"), "memory": ("memory.limit_in_bytes",)}.get(controller, ())
    limits = [_number(_text(folder / name).strip()) for name in names]
    return min((limit for limit in limits if limit is not None and 0 < limit < UNLIMITED), default=None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # "max", or nothing
        return None
    return value if math.isfinite(value) else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
