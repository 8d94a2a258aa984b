"""What a command shows while it works: a live table on a terminal, one JSON line an event elsewhere."""

import json
import math
import sys
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from bench.contract.jobs import Progress
from bench.contract.records import Record, fid_name
from bench.run.plan import Entry, Job, Plan, State

if TYPE_CHECKING:
    from rich.console import RenderableType

THINNING = 0.02  # of the time that a job has taken: between two lines of its progress; some 240 in three hours


def duration(seconds: float | None) -> str:
    """``75`` as ``1:15``, ``4000`` as ``1:06:40``; a dash for None."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display(ABC):
    """Told what happens, from any thread."""

    @abstractmethod
    def planned(self, plan: Plan) -> None:
        """Before anything runs: what there is to do, and whether any of it is done."""

    @abstractmethod
    def verified(self, entry: Entry) -> None:
        """An entry was verified; ``entry.verification`` says how."""

    @abstractmethod
    def estimated(self, plan: Plan) -> None:
        """All is verified: what will run, and how long that will take."""

    @abstractmethod
    def started(self, job: Job) -> None:
        """A job's first process is about to start."""

    @abstractmethod
    def progress(self, job: Job, event: Progress) -> None:
        """A phase of a job got further."""

    @abstractmethod
    def finished(self, job: Job, record: Record) -> None:
        """A job has its record."""

    @abstractmethod
    def message(self, text: str) -> None:
        """One line for the user."""

    @abstractmethod
    def tick(self) -> None:
        """Called twice a second from the main thread."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will happen."""


def headline(record: Record) -> str:
    """A finished run in a few words."""
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    metrics = record.evaluation.metrics if record.evaluation else {}
    fid = fid_name(record.protocol.samples)
    if "top1_accuracy" in metrics:
        return f"ok, top-1 {metrics['top1_accuracy']:.2%} on {record.protocol.evaluate}"
    if fid in metrics:
        return f"ok, FID {metrics[fid]:.2f} of {record.protocol.samples:,} against {record.protocol.evaluate}"
    return "ok"


class JsonLines(Display):
    """One JSON object a line, for logs and other programs. The field ``event`` says what the rest is."""

    def __init__(self, stream: TextIO | None = None, interval: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval  # seconds between progress lines of one job, at first
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def _emit(self, event: str, **fields: Any) -> None:
        with self._lock:
            print(json.dumps({"event": event, **fields}), file=self._stream, flush=True)

    @staticmethod
    def _job(job: Job) -> dict[str, Any]:
        found = job.entry.found
        return {"submission": found.name, "variant": job.entry.variant, "seed": job.seed}

    def planned(self, plan: Plan) -> None:
        counts = {state.value.replace(" ", "_"): len(plan.jobs(state)) for state in State}
        data = sorted({entry.protocol.data for entry in plan.entries})
        self._emit("plan", profile=plan.settings.profile, device=plan.settings.device, data=data, **counts)

    def verified(self, entry: Entry) -> None:
        assert entry.verification is not None
        cost, problems = entry.verification.cost, entry.verification.problems
        self._emit(
            "verified",
            submission=entry.found.name,
            variant=entry.variant,
            params=cost.params if cost else None,
            problems=[problem.message for problem in problems],
        )

    def estimated(self, plan: Plan) -> None:
        self._emit("estimate", runs=len(plan.jobs(State.TO_DO)), seconds=plan.estimate_seconds())

    def started(self, job: Job) -> None:
        self._emit("started", **self._job(job))

    def progress(self, job: Job, event: Progress) -> None:
        now = time.monotonic()
        # As a job goes on its lines become rarer, so that hours of training do not fill a log.
        interval = max(self._interval, THINNING * (now - self._began.setdefault(job.label, now)))
        if event.done == event.total or now - self._last.get(job.label, -math.inf) >= interval:
            self._last[job.label] = now
            self._emit("progress", **self._job(job), **event.model_dump())

    def finished(self, job: Job, record: Record) -> None:
        metrics = record.evaluation.metrics if record.evaluation else {}
        self._emit(
            "finished",
            **self._job(job),
            status=record.status,
            reason=record.reason,
            metrics=metrics,
            record=str(job.path),
        )

    def message(self, text: str) -> None:
        self._emit("message", text=text)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class _Row:
    """A running job on screen."""

    entry: str
    seed: int
    phase: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    rate: float | None = None  # of the phase, per second
    since: float = 0.0
    since_done: int = 0


class LiveTable(Display):
    """A table of what is running, redrawn in place; what is finished scrolls away above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._left = 0
        self._waiting_for = ""  # said while no job runs
        self._live = Live(self._table(), console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def _table(self) -> "RenderableType":
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("entry", "seed", "phase", "step", "step/s", "loss", "ETA"):
            table.add_column(name, justify="left" if name in ("entry", "phase") else "right", no_wrap=True)
        for row in self._rows.values():
            left = (row.total - row.done) / row.rate if row.rate else None
            table.add_row(
                row.entry,
                str(row.seed),
                row.phase,
                f"{row.done:,}/{row.total:,}" if row.total else "",
                f"{row.rate:.1f}" if row.rate else "",
                f"{row.loss:.3f}" if row.loss is not None else "",
                duration(left) if row.total else "",
            )
        if not self._rows:
            return self._waiting_for
        table.caption = f"{self._left} runs to go"
        return table

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def planned(self, plan: Plan) -> None:
        to_do, done, failed = (len(plan.jobs(state)) for state in State)
        data = ", ".join(sorted({entry.protocol.data for entry in plan.entries}))
        settings = plan.settings
        if to_do:
            self._waiting_for = "verifying: contract, caps, cost and speed, before anything trains ..."
        self._say(
            f"[bold]Plan[/]: {to_do} runs to do, {done} done, {failed} failed earlier; profile "
            f"{settings.profile}, data {data}, {settings.device}, {settings.jobs} side by side with "
            f"{settings.threads} thread{'s' if settings.threads > 1 else ''} each"
        )

    def verified(self, entry: Entry) -> None:
        assert entry.verification is not None
        if entry.verification.problems:
            self._say(f"[red]✗[/] {entry.label}: {escape(entry.verification.problems[0].message)}")
            return
        cost, claim = entry.verification.cost, entry.claims.params
        assert cost is not None
        paper = "" if claim is None else ", as in the paper" if claim == cost.params else f", paper {claim:,}"
        self._say(
            f"[green]✓[/] {entry.label}: {cost.params:,} params{paper}, {cost.macs_per_image / 1e6:.2f} MMACs"
        )

    def estimated(self, plan: Plan) -> None:
        self._waiting_for = ""
        runs = self._left = len(plan.jobs(State.TO_DO))
        self._say(f"{runs} runs, about {duration(plan.estimate_seconds())} at the speed just measured")

    def started(self, job: Job) -> None:
        with self._lock:
            self._rows[job.label] = _Row(job.entry.label, job.seed, since=time.monotonic())

    def progress(self, job: Job, event: Progress) -> None:
        with self._lock:
            row = self._rows.setdefault(job.label, _Row(job.entry.label, job.seed))
            now = time.monotonic()
            if event.phase != row.phase:
                row.phase, row.since, row.since_done, row.rate = event.phase, now, event.done, None
            elif now > row.since and event.done > row.since_done:
                row.rate = (event.done - row.since_done) / (now - row.since)
            row.done, row.total, row.loss = event.done, event.total, event.loss or row.loss

    def finished(self, job: Job, record: Record) -> None:
        with self._lock:
            self._rows.pop(job.label, None)
            self._left = max(0, self._left - 1)
        mark = "[green]✓[/]" if record.status == "ok" else "[red]✗[/]"
        self._say(f"{mark} {job.label}: {escape(headline(record))}")

    def message(self, text: str) -> None:
        self._say(escape(text))

    def tick(self) -> None:
        with self._lock:
            self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        self._live.stop()


def choose_display() -> Display:
    """The live table where standard error is a terminal, JSON lines elsewhere."""
    return LiveTable() if sys.stderr.isatty() else JsonLines()
