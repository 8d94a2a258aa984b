"""Progress events from a job's process to its parent: JSON lines on a dedicated file descriptor.

They feed the live display and the event log only. No number in a record is taken from them.
"""

import os
import time
from pathlib import Path

from bench.contract.jobs.files import EVENTS_FD, TURN, WAITING_FOR_TURN
from bench.contract.jobs.reports import Progress


class Channel:
    """A sender of progress events, at most one per ``interval`` seconds.

    It sends nothing if the parent process has not provided a file descriptor.
    """

    def __init__(self, interval: float = 0.5) -> None:
        number = os.environ.get(EVENTS_FD)
        self._file = os.fdopen(int(number), "w", buffering=1) if number else None
        self._interval = interval
        self._next_send = 0.0

    def progress(self, phase: str, done: int, total: int, loss: float | None = None) -> None:
        """Report the progress of a phase; most calls return at once without sending."""
        now = time.monotonic()
        if self._file is None or (now < self._next_send and done < total):
            return
        self._next_send = now + self._interval
        event = Progress(phase=phase, done=done, total=total, loss=loss)
        try:
            self._file.write(event.model_dump_json() + "\n")
        except OSError:
            self._file = None  # the parent process has ended; reports and checkpoints are still written


def wait_for_turn(folder: Path) -> None:
    """Tell the parent process that this one waits to measure speeds, until it creates the file ``TURN``."""
    channel = Channel()
    while not (folder / TURN).exists():
        channel.progress(WAITING_FOR_TURN, 0, 1)
        time.sleep(0.05)
