"""Progress as a live table on a terminal, redrawn in place."""

import sys
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from bench.contract.jobs.reports import Progress, Verification
from bench.contract.records.record import Record
from bench.harness.planning.plan import Entry, Job, Plan, Planned
from bench.harness.progress.base import (
    Display,
    Pace,
    RefusedEntries,
    duration,
    estimate_text,
    headline,
    plan_text,
    verified_text,
)
from bench.text import harmless

if TYPE_CHECKING:
    from rich.console import RenderableType


BESIDE_ROWS = 4  # lines of the table's header and caption, and of the cursor and the shell


def safe(text: str) -> str:
    """Escape rich markup and terminal control characters in ``text``."""
    return escape(harmless(text))


class LiveTable(Display):
    """A table of the running jobs, redrawn in place. Finished jobs are printed above it."""

    def __init__(self, console: Console | None = None) -> None:
        # Bypass the escaping stream: rich's control sequences must work, and `safe` escapes all other text.
        self._console = console or Console(file=getattr(sys.stderr, "target", None) or sys.stderr)
        self._paces: dict[str, Pace] = {}
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._refused = RefusedEntries()
        self._remaining = 0
        self._waiting_text = ""  # shown while no job runs
        self._live = Live(self._table(), console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def _table(self) -> "RenderableType":
        table = Table(box=None, pad_edge=False, header_style="bold")
        # Only the name shrinks in a narrow window.
        table.add_column("entry", overflow="ellipsis", min_width=8)
        for name in ("seed", "phase", "step", "step/s", "loss", "ETA"):
            table.add_column(name, justify="left" if name == "phase" else "right", no_wrap=True)
        room = max(1, self._console.height - BESIDE_ROWS)
        for label, pace in list(self._paces.items())[:room]:
            table.add_row(
                safe(self._jobs[label].entry.label),
                str(self._jobs[label].seed),
                safe(pace.phase),
                f"{pace.done:,}/{pace.total:,}" if pace.total else "",
                f"{pace.rate:.1f}" if pace.rate else "",
                f"{pace.loss:.3f}" if pace.loss is not None else "",
                duration(pace.seconds_left) if pace.total else "",
            )
        if not self._paces:
            return self._waiting_text
        hidden = len(self._paces) - room
        table.caption = f"{self._remaining} runs left" + (f"; {hidden} more are running" if hidden > 0 else "")
        return table

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def planned(self, plan: Plan) -> None:
        if plan.in_state(Planned.TO_DO):
            self._waiting_text = "verifying: contract, caps, cost and speed, before anything trains ..."
        self._say(f"[bold]Plan[/]: {safe(plan_text(plan))}")

    def verified(self, entry: Entry, verification: Verification) -> None:
        if verification.problems:
            self._refused.add(entry)
            self._say(f"[red]✗[/] {safe(entry.label)}: {safe(verification.problems[0].message)}")
            return
        self._say(f"[green]✓[/] {safe(entry.label)}: {safe(verified_text(entry, verification))}")

    def estimated(self, runs: int, seconds: float | None) -> None:
        self._waiting_text = ""
        self._remaining = runs
        self._say(estimate_text(runs, seconds))

    def started(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.label], self._paces[job.label] = job, Pace(since=time.monotonic())

    def progress(self, job: Job, event: Progress) -> None:
        with self._lock:
            self._jobs[job.label] = job
            self._paces.setdefault(job.label, Pace()).update(event, time.monotonic())

    def finished(self, job: Job, record: Record) -> None:
        with self._lock:
            self._paces.pop(job.label, None)
            self._remaining = max(0, self._remaining - 1)
        if (refused := self._refused.text(job, record)) is not None:
            if refused:
                self._say(f"[red]✗[/] {safe(refused)}")
            return
        mark = "[green]✓[/]" if record.status == "ok" else "[red]✗[/]"
        self._say(f"{mark} {safe(job.label)}: {safe(headline(job, record))}")

    def message(self, text: str) -> None:
        self._say(safe(text))

    def tick(self) -> None:
        with self._lock:
            self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        self._live.stop()
