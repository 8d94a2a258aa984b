"""Graceful shutdown after Ctrl-C, SIGTERM or a closed terminal: child processes end, temporary folders go."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class ReceivedSignals:
    """The signals that asked this command to end."""

    numbers: list[int] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """The exit status that a shell reports: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + (self.numbers[0] if self.numbers else signal.SIGINT)


@contextmanager
def graceful_shutdown() -> Iterator[ReceivedSignals]:
    """Raise KeyboardInterrupt in the main thread when a signal asks the command to end.

    SIGINT is handled even if a script started the command in the background, where shells set it to be ignored.
    SIGHUP is handled unless it is ignored, as under ``nohup``.
    """
    received = ReceivedSignals()

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.numbers.append(number)
        for handled in previous:  # a second signal would only interrupt the shutdown
            signal.signal(handled, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in previous:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        if not received.numbers:
            for number, handler in previous.items():
                signal.signal(number, handler)
