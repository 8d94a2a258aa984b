"""Lines that a person can read in a log, where there is no terminal."""

import math
import sys
import threading
import time
from typing import TextIO

from bench.contract.jobs import Progress
from bench.contract.records import Record
from bench.run.plan import Entry, Job, Plan, State
from bench.run.progress.base import Display, Pace, duration, estimate_text, headline, plan_text, verified_text

THINNING = 0.05  # of the time that a job has taken: between two lines of its progress; some 100 in three hours
NOUNS = {"train": "step", "evaluate": "evaluated", "sample": "sampled"}  # phase -> before its count


class Lines(Display):
    """One line per event, each with the time of day. As a run goes on, its lines become rarer."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval  # seconds between progress lines of one job, at first
        self._lock = threading.Lock()
        self._paces: dict[str, Pace] = {}
        self._began: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._finished = self._runs = 0

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=self._stream, flush=True)

    def planned(self, plan: Plan) -> None:
        self._say(f"Plan: {plan_text(plan)}")

    def verified(self, entry: Entry) -> None:
        assert entry.verification is not None
        problems = entry.verification.problems
        if problems:
            self._say(f"✗ {entry.label}: {problems[0].message}")
        else:
            self._say(f"✓ {entry.label}: {verified_text(entry)}")

    def estimated(self, plan: Plan) -> None:
        self._runs = len(plan.jobs(State.TO_DO)) + len(plan.floors)
        self._say(estimate_text(plan))

    def started(self, job: Job) -> None:
        with self._lock:
            self._begin(job, time.monotonic())
            self._say(f"{job.label}  started")

    def _begin(self, job: Job, now: float) -> None:
        self._paces[job.label] = Pace(since=now)
        self._began[job.label], self._due[job.label] = now, now + self._interval

    def progress(self, job: Job, event: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            if job.label not in self._paces:
                self._begin(job, now)
            pace = self._paces[job.label]
            pace.update(event, now)
            if now < self._due[job.label]:
                return
            self._due[job.label] = now + max(self._interval, THINNING * (now - self._began[job.label]))
            self._say(f"{job.label}  {_pace_text(pace)}")

    def finished(self, job: Job, record: Record) -> None:
        with self._lock:
            self._paces.pop(job.label, None)
            self._finished += 1
            mark = "✓" if record.status == "ok" else "✗"
            of = f"  ({self._finished} of {self._runs})" if self._finished <= self._runs else ""
            self._say(f"{mark} {job.label}: {headline(job, record)}{of}")

    def message(self, text: str) -> None:
        with self._lock:
            self._say(text)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


def _pace_text(pace: Pace) -> str:
    """``step 400/1,000  loss 2.31  14 steps/s  0:43 left``."""
    is_training = pace.phase == "train"
    parts = [f"{NOUNS.get(pace.phase, pace.phase)} {pace.done:,}/{pace.total:,}"]
    if is_training and pace.loss is not None and math.isfinite(pace.loss):
        parts.append(f"loss {pace.loss:.3g}")
    if pace.rate:
        if is_training:
            parts.append(f"{pace.rate:.3g} steps/s")
        parts.append(f"{duration(pace.seconds_left)} left")
    return "  ".join(parts)
