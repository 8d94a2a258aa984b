"""Ctrl-C, SIGTERM and a closed terminal: each ends a command in order, with its children and temporary folders."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class Received:
    """The signals that asked this command to end."""

    numbers: list[int] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """As a shell reports a signal: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + (self.numbers[0] if self.numbers else signal.SIGINT)


@contextmanager
def ending_in_order() -> Iterator[Received]:
    """Meanwhile a signal to end raises KeyboardInterrupt in the main thread.

    That holds for SIGINT too where a shell started the command in the background of a script, and so had it
    ignored: whoever sends it means this command. A terminal that closes is heeded unless ``nohup`` says otherwise.
    """
    received = Received()

    def end(number: int, frame: FrameType | None) -> None:
        received.numbers.append(number)
        for other in before:  # whoever is in a hurry has been heard: a second one would only break this off
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        heeded.append(signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in heeded}
    for number in before:
        signal.signal(number, end)
    try:
        yield received
    finally:
        if not received.numbers:
            for number, handler in before.items():
                signal.signal(number, handler)
