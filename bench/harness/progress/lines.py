"""Progress as readable log lines, for output that is not a terminal."""

import math
import sys
import threading
import time
from typing import TextIO

from bench.contract.jobs.reports import Progress, Verification
from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.record import Record
from bench.harness.planning.plan import Entry, Job, Plan
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

INTERVAL_GROWTH = 0.05  # seconds between progress lines per second of a job's run time; about 100 lines in 3 hours
NOUNS = {"train": "step", "evaluate": "evaluated", "sample": "sampled"}  # phase -> word before its count


class Lines(Display):
    """One line per event, with the time of day. The interval between a run's progress lines grows."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval  # minimum seconds between progress lines of one job
        self._lock = threading.Lock()
        self._refused = RefusedEntries()
        self._paces: dict[str, Pace] = {}
        self._start: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._finished = self._runs = 0

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=self._stream, flush=True)

    def planned(self, plan: Plan) -> None:
        self._say(f"Plan: {plan_text(plan)}")

    def verified(self, entry: Entry, verification: Verification) -> None:
        problems = verification.problems
        if problems:
            self._refused.add(entry)
            self._say(f"✗ {entry.label}: {problems[0].message}")
        else:
            self._say(f"✓ {entry.label}: {verified_text(entry, verification)}")

    def estimated(self, runs: int, seconds: float | None) -> None:
        self._runs = runs
        self._say(estimate_text(runs, seconds))

    def started(self, job: Job) -> None:
        with self._lock:
            self._begin(job, time.monotonic())
            self._say(f"{job.label}  started")

    def _begin(self, job: Job, now: float) -> None:
        self._paces[job.label] = Pace(since=now)
        self._start[job.label], self._due[job.label] = now, now + self._interval

    def progress(self, job: Job, event: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            if job.label not in self._paces:
                self._begin(job, now)
            pace = self._paces[job.label]
            pace.update(event, now)
            if now < self._due[job.label]:
                return
            self._due[job.label] = now + max(self._interval, INTERVAL_GROWTH * (now - self._start[job.label]))
            self._say(f"{job.label}  {_pace_text(pace)}")

    def finished(self, job: Job, record: Record) -> None:
        with self._lock:
            self._paces.pop(job.label, None)
            if (refused := self._refused.text(job, record)) is not None:
                if refused:
                    self._say(f"✗ {refused}")
                return
            is_run = record.identity.submission != REAL_IMAGES and job.label in self._start  # else not verified
            self._finished += is_run
            mark = "✓" if record.status == "ok" else "✗"
            count = f"  ({self._finished} of {self._runs})" if is_run and self._finished <= self._runs else ""
            self._say(f"{mark} {job.label}: {headline(job, record)}{count}")

    def message(self, text: str) -> None:
        with self._lock:
            self._say(text)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


def _pace_text(pace: Pace) -> str:
    """Format progress, such as ``step 400/1,000  loss 2.31  14 steps/s  0:43 left``."""
    is_training = pace.phase == "train"
    parts = [f"{NOUNS.get(pace.phase, pace.phase)} {pace.done:,}/{pace.total:,}"]
    if is_training and pace.loss is not None and math.isfinite(pace.loss):
        parts.append(f"loss {pace.loss:.3g}")
    if pace.rate:
        if is_training:
            parts.append(f"{pace.rate:.3g} steps/s")
        parts.append(f"{duration(pace.seconds_left)} left")
    return "  ".join(parts)
