"""A wrapper around a display: if the display raises an error, it is closed and the runs continue without it."""

import contextlib
import sys
from collections.abc import Callable

from bench.contract.jobs.reports import Progress, Verification
from bench.contract.records.record import Record
from bench.harness.planning.plan import Entry, Job, Plan
from bench.harness.progress.base import Display


class Unfailing(Display):
    """A display that forwards all events to another display, until that one raises an error."""

    def __init__(self, display: Display) -> None:
        self.display: Display | None = display

    def _forward(self, call: Callable[[Display], None]) -> None:
        display = self.display
        if display is None:
            return
        try:
            call(display)
        except Exception as error:
            self.display = None
            with contextlib.suppress(Exception):
                display.close()
            with contextlib.suppress(Exception):
                print(
                    f"bench: the display failed ({type(error).__name__}: {error}); the runs continue",
                    file=sys.stderr,
                )

    def planned(self, plan: Plan) -> None:
        self._forward(lambda display: display.planned(plan))

    def verified(self, entry: Entry, verification: Verification) -> None:
        self._forward(lambda display: display.verified(entry, verification))

    def estimated(self, runs: int, seconds: float | None) -> None:
        self._forward(lambda display: display.estimated(runs, seconds))

    def started(self, job: Job) -> None:
        self._forward(lambda display: display.started(job))

    def progress(self, job: Job, event: Progress) -> None:
        self._forward(lambda display: display.progress(job, event))

    def finished(self, job: Job, record: Record) -> None:
        self._forward(lambda display: display.finished(job, record))

    def message(self, text: str) -> None:
        self._forward(lambda display: display.message(text))

    def problem(self, text: str) -> None:
        self._forward(lambda display: display.problem(text))

    def tick(self) -> None:
        self._forward(lambda display: display.tick())

    def close(self) -> None:
        self._forward(lambda display: display.close())
