"""Resource limits of a phase, and a monitor that reports when a phase exceeds them."""

import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

from bench.contract.jobs.reports import Failure
from bench.errors import UsageError
from bench.measure.machine.container import memory_bytes
from bench.text import one_line

CHECK_SECONDS = 0.5
LARGEST = 2.0**62  # bytes, or seconds
GIB = 1024**3
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"M": 1024**2, "G": GIB, "T": 1024 * GIB}


def no_wait() -> float:
    """Return 0: no time of the phase is excluded from its limit."""
    return 0.0


@dataclass(frozen=True)
class Limits:
    """The resource limits of one phase, summed over all its processes."""

    seconds: float | None = None  # of wall time
    memory_bytes: int | None = None  # resident, shared pages counted once
    # Over all processes, which have at least one thread each: 16 per core, and 256 more.
    threads: int = field(default_factory=lambda: 256 + 16 * (psutil.cpu_count() or 1))
    waited: Callable[[], float] = no_wait  # returns seconds that do not count, because the phase waited for others


class Watch:
    """A monitor of a phase's processes, which checks them every ``CHECK_SECONDS``."""

    def __init__(self, pid: int, phase: str, limits: Limits) -> None:
        self.pid, self.phase, self.limits = pid, phase, limits
        self.started = self.checked = time.monotonic()

    def exceeded(self) -> Failure | None:
        """Return the exceeded limit as a failure; None while the phase is within its limits."""
        now, seconds = time.monotonic(), self.limits.seconds
        if seconds is not None and now - self.started - self.limits.waited() > seconds:
            return Failure(status="timeout", reason=f"phase {self.phase} took over {seconds:,.0f} s (--timeout)")
        if now - self.checked < CHECK_SECONDS:
            return None
        self.checked = now
        processes = self._processes()
        return self._threads(processes) or self._memory(processes)

    def _processes(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []  # the phase has just ended

    def _threads(self, processes: list[psutil.Process]) -> Failure | None:
        count = sum(_read(process, lambda p: p.num_threads()) for process in processes)
        if count <= self.limits.threads:
            return None
        usage = f"{count:,} threads in {len(processes):,} processes while in phase {self.phase}"
        return Failure(status="limit", reason=f"{usage}, limit {self.limits.threads:,}")

    def _memory(self, processes: list[psutil.Process]) -> Failure | None:
        allowed = self.limits.memory_bytes
        # The sum of the resident sizes counts shared pages several times: never too low, and cheap to read.
        if allowed is None or sum(_read(p, lambda p: p.memory_info().rss) for p in processes) <= allowed:
            return None
        used = sum(_read(p, lambda p: p.memory_full_info().pss) for p in processes)
        if used <= allowed:
            return None
        usage = f"{used / GIB:.2f} GiB of memory while in phase {self.phase}"
        return Failure(status="oom", reason=f"{usage}, limit {allowed / GIB:.2f} GiB (--memory)")


def _read(process: psutil.Process, measure: Callable[[psutil.Process], int]) -> int:
    try:
        return measure(process)
    except psutil.Error:  # it has just ended, or belongs to another user
        return 0


def parse_duration(text: str) -> float:
    """Parse a duration such as ``90``, ``90s``, ``15m``, ``2h`` or ``1d``, and return seconds.

    Raises:
        UsageError: If the text has another form.
    """
    return _parse(text, r"[smhd]?", SECONDS, "--timeout", "seconds, or a number with s, m, h or d, such as 90m")


def parse_memory(text: str) -> int:
    """Parse a memory size such as ``800M``, ``4G`` or ``4GiB``, and return bytes.

    Raises:
        UsageError: If the text has another form.
    """
    bare = re.sub(r"(?<=[MGT])i?B$", "", text.strip())
    return int(_parse(bare, "[MGT]", BYTES, "--memory", "a number with M, G or T, such as 4G"))


def _parse(text: str, unit: str, sizes: Mapping[str, float], option: str, hint: str) -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)({unit})", text.strip())
    value = float(match[1]) * sizes[match[2]] if match is not None else 0.0
    if not 0 < value < LARGEST:
        raise UsageError(f"{option} {one_line(text, 60)!r}: give {hint}")
    return value


def default_memory(jobs: int) -> int:
    """Return the memory limit per run in bytes: an equal share of 90 % of the machine's, or container's, RAM."""
    total = min(psutil.virtual_memory().total, memory_bytes() or sys.maxsize)
    return int(total * 0.9 / jobs)
