"""No progress, for notebooks and scripts, which read results from summaries and records."""

import sys

from bench.contract.jobs.reports import Progress, Verification
from bench.contract.records.record import Record
from bench.harness.planning.plan import Entry, Job, Plan
from bench.harness.progress.base import Display


class Quiet(Display):
    """A display of nothing but errors that are in no record."""

    def planned(self, plan: Plan) -> None:
        pass

    def verified(self, entry: Entry, verification: Verification) -> None:
        pass

    def estimated(self, runs: int, seconds: float | None) -> None:
        pass

    def started(self, job: Job) -> None:
        pass

    def progress(self, job: Job, event: Progress) -> None:
        pass

    def finished(self, job: Job, record: Record) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def problem(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass
