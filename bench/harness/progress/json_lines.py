"""Progress as JSON lines: one object per line, for other programs."""

import json
import math
import sys
import threading
import time
from typing import Any, TextIO

from bench.contract.jobs.reports import Progress, Verification
from bench.contract.records.record import Record
from bench.harness.planning.plan import Entry, Job, Plan, Planned
from bench.harness.progress.base import Display

INTERVAL_GROWTH = 0.02  # seconds between progress lines per second of a job's run time; about 240 lines in 3 hours


def without_nan(value: Any) -> Any:
    """Return ``value`` with None for NaN and infinity, which JSON lacks and a loss may reach."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return [without_nan(item) for item in value] if isinstance(value, list) else value


class JsonLines(Display):
    """One JSON object per line. The field ``event`` says what the other fields are."""

    def __init__(self, stream: TextIO | None = None, interval: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval  # minimum seconds between progress lines of one job
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._start: dict[str, float] = {}

    def _emit(self, event: str, **fields: Any) -> None:
        with self._lock:
            line = json.dumps({"event": event, **without_nan(fields)}, allow_nan=False)
            print(line, file=self._stream, flush=True)

    @staticmethod
    def _job(job: Job) -> dict[str, Any]:
        source = job.entry.source
        return {"submission": source.name, "variant": job.entry.variant, "seed": job.seed}

    def planned(self, plan: Plan) -> None:
        counts = {state.value.replace(" ", "_"): len(plan.in_state(state)) for state in Planned}
        data = sorted({entry.protocol.data for entry in plan.entries})
        self._emit("plan", profile=plan.config.profile, device=plan.config.device, data=data, **counts)

    def verified(self, entry: Entry, verification: Verification) -> None:
        cost, problems = verification.cost, verification.problems
        self._emit(
            "verified",
            submission=entry.source.name,
            variant=entry.variant,
            params=cost.params if cost else None,
            problems=[problem.message for problem in problems],
        )

    def estimated(self, runs: int, seconds: float | None) -> None:
        self._emit("estimate", runs=runs, seconds=seconds)

    def started(self, job: Job) -> None:
        self._emit("started", **self._job(job))

    def progress(self, job: Job, event: Progress) -> None:
        now = time.monotonic()
        # The interval grows with the run time, so that hours of training do not fill a log.
        interval = max(self._interval, INTERVAL_GROWTH * (now - self._start.setdefault(job.label, now)))
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
            log=str(job.log),
        )

    def message(self, text: str) -> None:
        self._emit("message", text=text)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass
