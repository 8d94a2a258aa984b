"""A display that ends no run: whatever goes wrong while something is shown, the runs go on unseen."""

import contextlib
import sys
from collections.abc import Callable

from bench.contract.jobs import Progress
from bench.contract.records import Record
from bench.run.plan import Entry, Job, Plan
from bench.run.progress.base import Display


class Unfailing(Display):
    """Passes everything on to another display, until that fails."""

    def __init__(self, display: Display) -> None:
        self.display: Display | None = display

    def _tell(self, how: Callable[[Display], None]) -> None:
        display = self.display
        if display is None:
            return
        try:
            how(display)
        except Exception as error:
            self.display = None
            with contextlib.suppress(Exception):
                display.close()
            with contextlib.suppress(Exception):
                print(f"bench: the display failed ({type(error).__name__}: {error}); runs go on", file=sys.stderr)

    def planned(self, plan: Plan) -> None:
        self._tell(lambda display: display.planned(plan))

    def verified(self, entry: Entry) -> None:
        self._tell(lambda display: display.verified(entry))

    def estimated(self, plan: Plan) -> None:
        self._tell(lambda display: display.estimated(plan))

    def started(self, job: Job) -> None:
        self._tell(lambda display: display.started(job))

    def progress(self, job: Job, event: Progress) -> None:
        self._tell(lambda display: display.progress(job, event))

    def finished(self, job: Job, record: Record) -> None:
        self._tell(lambda display: display.finished(job, record))

    def message(self, text: str) -> None:
        self._tell(lambda display: display.message(text))

    def tick(self) -> None:
        self._tell(lambda display: display.tick())

    def close(self) -> None:
        self._tell(lambda display: display.close())
