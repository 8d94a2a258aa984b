"""Measure the background load: the share of processor time that other programs use during a timing.

Other programs slow down a measurement even on separate cores, since caches and memory bandwidth are shared. Load
on a GPU is not measured.
"""

import psutil

IDLE = ("idle", "iowait")
COUNTED_TWICE = ("guest", "guest_nice")  # Linux includes them in user and nice, too


class BackgroundLoad:
    """The background load since this object was created; time stolen by a hypervisor counts as background load."""

    def __init__(self) -> None:
        self._before = _seconds()

    def share(self) -> float:
        """Return other programs' share of all processor time, in [0, 1]; 0 if no time has passed."""
        busy, this_process, total = (now - then for now, then in zip(_seconds(), self._before, strict=True))
        return min(1.0, max(0.0, (busy - this_process) / total)) if total > 0 else 0.0


def _seconds() -> tuple[float, float, float]:
    """Return seconds summed over all processors: busy, busy with this process, and total."""
    times = psutil.cpu_times()._asdict()
    idle = sum(times.get(name, 0.0) for name in IDLE)
    busy = sum(value for name, value in times.items() if name not in (*IDLE, *COUNTED_TWICE))
    this_process = psutil.Process().cpu_times()
    return busy, this_process.user + this_process.system, busy + idle
