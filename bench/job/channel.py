"""Progress from a job's process to its parent: JSON lines on a file descriptor of the harness's own.

They feed the live display and the event log only. No figure of a record is taken from them.
"""

import os
import time

from bench.contract.jobs import EVENTS_FD, Progress


class Channel:
    """Sends events at most every ``interval`` seconds; without a parent to hear them it is silent."""

    def __init__(self, interval: float = 0.5) -> None:
        number = os.environ.get(EVENTS_FD)
        self._file = os.fdopen(int(number), "w", buffering=1) if number else None
        self._interval = interval
        self._due = 0.0

    def progress(self, phase: str, done: int, total: int, loss: float | None = None) -> None:
        """Tell how far a phase is; most calls return at once without sending."""
        now = time.monotonic()
        if self._file is None or (now < self._due and done < total):
            return
        self._due = now + self._interval
        event = Progress(phase=phase, done=done, total=total, loss=loss)
        try:
            self._file.write(event.model_dump_json() + "\n")
        except OSError:
            self._file = None  # the parent is gone; it will find what this process leaves on disk
