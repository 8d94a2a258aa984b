"""Turns of parallel verifications: their checks overlap, their speed measurements run one at a time.

A verification takes seconds to start and to check, and its measurements would be disturbed by the checks of
others. So a process that has only its measurements left says so and waits until a file appears in its folder.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs.files import TURN, WAITING_FOR_TURN
from bench.contract.jobs.reports import Progress
from bench.harness.executors.local import Stopped
from bench.harness.executors.process_tree import count_running_phases

POLL_SECONDS = 0.2


@dataclass(eq=False)
class Turn:
    """The turn of one verification."""

    name: str  # of what is verified
    folder: Path  # of its process, which waits for the file ``TURN`` in it
    since: float  # when its state began, on the monotonic clock
    state: str = "checking"  # then waiting, then measuring
    waited_before: float = 0.0  # seconds in the state waiting, once it has ended
    minutes_told: int = 0  # of this state
    concurrent: int = 0  # most phases of other commands seen at the measurements' start and end

    def enter(self, state: str) -> None:
        """Begin the next state."""
        now = time.monotonic()
        self.waited_before = now - self.since if self.state == "waiting" else self.waited_before
        self.state, self.since, self.minutes_told = state, now, 0

    def waited(self) -> float:
        """Return the seconds that it has waited for others."""
        return time.monotonic() - self.since if self.state == "waiting" else self.waited_before


class Turns:
    """Gives verifications their turns: one measures while no other one of this command measures or checks."""

    def __init__(self, stop: threading.Event) -> None:
        """Start without any verification.

        Args:
            stop: Event that ends the wait of verifications that have not started.
        """
        self._stop = stop
        self._change = threading.Condition()
        self._turns: list[Turn] = []
        self._arriving = 0  # verifications that wait for their start, while another one measures

    @contextmanager
    def turn(self, name: str, folder: Path) -> Iterator[Turn]:
        """Hold a place during a verification; wait first until no other one measures.

        Args:
            name: Of what is verified.
            folder: Of the verification's process.

        Raises:
            Stopped: If ``stop`` was set during the wait.
        """
        with self._change:
            self._arriving += 1
            try:
                while self._any("measuring"):
                    if self._stop.is_set():
                        raise Stopped
                    self._change.wait(POLL_SECONDS)
                turn = Turn(name, folder, time.monotonic())
                self._turns.append(turn)
            finally:
                self._arriving -= 1
        try:
            yield turn
        finally:
            with self._change:
                if turn.state == "measuring":
                    self._count_others(turn)
                self._turns.remove(turn)
                self._give_turn()

    def on_event(self, turn: Turn, event: Progress) -> None:
        """Note that the process of ``turn`` waits, if this is what ``event`` says."""
        if event.phase != WAITING_FOR_TURN:
            return
        with self._change:
            if turn.state == "checking":
                turn.enter("waiting")
                self._give_turn()

    def long_ones(self) -> list[str]:
        """Return a line per verification that has checked, or measured, for another full minute."""
        with self._change:
            lines = []
            for turn in self._turns:
                minutes = int((time.monotonic() - turn.since) / 60)
                if turn.state != "waiting" and minutes > turn.minutes_told:
                    turn.minutes_told = minutes
                    lines.append(f"{turn.name}: verification has been {turn.state} for {minutes} min")
            return lines

    def _any(self, state: str) -> bool:
        return any(turn.state == state for turn in self._turns)

    def _give_turn(self) -> None:
        self._change.notify_all()
        if self._arriving or self._any("checking") or self._any("measuring"):
            return
        for turn in self._turns[:1]:
            turn.enter("measuring")
            self._count_others(turn)
            with suppress(OSError):  # the process has ended, and its folder is gone
                (turn.folder / TURN).touch()

    def _count_others(self, turn: Turn) -> None:
        """Count the phases on this machine that are not waiting verifications of this command."""
        turn.concurrent = max(turn.concurrent, count_running_phases() - len(self._turns))
