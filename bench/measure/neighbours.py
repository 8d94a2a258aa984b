"""How much of the machine's processors other programs had while something was timed.

They slow down what is measured even on cores of their own, for caches and memory are shared. What else runs on a
GPU is not seen.
"""

import psutil

IDLE = ("idle", "iowait")
COUNTED_TWICE = ("guest", "guest_nice")  # Linux has them in user and nice too


class Neighbours:
    """Counts from when it is made; time that a hypervisor took away counts as theirs."""

    def __init__(self) -> None:
        self._before = _seconds()

    def share(self) -> float:
        """Theirs of all processor time since, in [0, 1]; 0 if no time has passed."""
        busy, own, all_of_it = (now - then for now, then in zip(_seconds(), self._before, strict=True))
        return min(1.0, max(0.0, (busy - own) / all_of_it)) if all_of_it > 0 else 0.0


def _seconds() -> tuple[float, float, float]:
    """Of all processors together: busy, busy with this process, and in all."""
    times = psutil.cpu_times()._asdict()
    idle = sum(times.get(name, 0.0) for name in IDLE)
    busy = sum(value for name, value in times.items() if name not in (*IDLE, *COUNTED_TWICE))
    own = psutil.Process().cpu_times()
    return busy, own.user + own.system, busy + idle
