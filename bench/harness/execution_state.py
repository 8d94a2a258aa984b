"""The state of a plan's execution: verifications, finished jobs, and an estimate of the remaining time."""

from bench.contract.jobs.reports import Verification
from bench.harness.planning.devices import runs_that_fit
from bench.harness.planning.plan import Entry, Job, Plan, Planned

SCORING_SECONDS = 0.2  # per sample on one CPU thread, mostly two Inception passes; for the estimate only
# Two processes per job start, import torch and read the data: about ten seconds on a slow machine.
STARTING_SECONDS = 10.0


class ExecutionState:
    """What has happened to a plan so far. Each value is written by the thread that verified or ran it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.verifications: dict[Entry, Verification] = {}
        # Jobs that this command has run, or will not run because their verification failed.
        self.finished: set[Job] = set()

    def to_do(self, entry: Entry | None = None) -> list[Job]:
        """Return the jobs that have not finished, of all entries or one."""
        jobs = self.plan.in_state(Planned.TO_DO)
        return [job for job in jobs if job not in self.finished and (entry is None or job.entry is entry)]

    def runs_that_fit(self) -> int | None:
        """Return how many parallel runs fit on the GPU, by the loads measured so far; None without a limit."""
        if not self.plan.config.limits_jobs_to_gpu:
            return None
        verified = list(self.verifications.values())
        loads = [verification.load for verification in verified if verification.load is not None]
        sizes = [verification.environment.get("device_memory_bytes", 0) for verification in verified]
        return runs_that_fit(loads, max(sizes, default=0))

    def estimate_seconds(self) -> float | None:
        """Estimate the wall time of the jobs to do, at the configured parallelism; None before any measurement."""
        jobs, config, total = self.to_do(), self.plan.config, 0.0
        for job in jobs:
            seconds = job.entry.seconds_per_job(self.verifications.get(job.entry))
            if seconds is None:
                return None
            total += seconds + STARTING_SECONDS
            if job.generates and config.device == "cpu":
                total += SCORING_SECONDS * (job.entry.protocol.samples or 0)
        parallel = min(config.side_by_side, self.runs_that_fit() or config.side_by_side, len(jobs))
        return total / max(1, parallel)
