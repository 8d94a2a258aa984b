"""The plan of a command: its jobs, their states, and an estimate of the remaining time."""

import contextlib
import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contract.invocation import Invocation
from bench.contract.jobs.files import SPEC, WORK, Phase
from bench.contract.jobs.reports import Verification, read_report
from bench.contract.jobs.spec import Execution, JobSpec
from bench.contract.manifest import Claims, label_of
from bench.contract.records.record import Identity, Record
from bench.contract.tracks import Protocol
from bench.data.store import data_root
from bench.errors import BenchError, RunFailed
from bench.harness.config import RunConfig
from bench.harness.executors.limits import Limits
from bench.harness.executors.local import LOG, PhaseEnvironment
from bench.harness.planning.datasets import ResolvedDataset
from bench.harness.planning.devices import runs_that_fit
from bench.harness.submissions.discovery import SubmissionSource

# The default timeout: 20 times the estimate, at least 30 minutes; 7 days without an estimate.
TIMEOUT_FACTOR, MIN_TIMEOUT_SECONDS, UNKNOWN_SECONDS = 20.0, 1800.0, 7 * 86400.0
SCORING_SECONDS = 0.2  # per sample on one CPU thread, mostly two Inception passes; for the estimate only


class State(enum.Enum):
    """The state of a job: whether it has to run."""

    TO_DO = "to do"
    DONE = "done"
    FAILED = "failed"  # in an earlier command; `--retry failed` repeats it


@dataclass
class Job:
    """A run of one (submission, variant, seed), with one process per phase and one record."""

    entry: "Entry"
    seed: int
    identity: Identity
    path: Path  # of the record
    state: State
    earlier: Record | None  # the existing record

    @property
    def label(self) -> str:
        """The job's name in messages."""
        return f"{self.entry.label} seed {self.seed}"

    @property
    def generates(self) -> bool:
        """Whether the job generates images, which a separate phase scores."""
        return self.entry.protocol.task == "generation"

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The job's phases, in order."""
        return ("train", "evaluate", "score") if self.generates else ("train", "evaluate")

    @property
    def folder(self) -> Path:
        """The job's folder next to the record: weights, samples, log, and during the run the work folder."""
        return self.path.with_suffix("")

    @property
    def log(self) -> Path:
        """The log of its processes' output, written together with the record."""
        return self.folder / LOG

    def phase_environment(self, config: RunConfig) -> PhaseEnvironment:
        """Return the limits and the sandbox of its phases."""
        seconds = config.timeout_seconds
        if seconds is None:
            estimate = self.entry.seconds_per_job()
            seconds = UNKNOWN_SECONDS if estimate is None else max(MIN_TIMEOUT_SECONDS, TIMEOUT_FACTOR * estimate)
        memory = config.memory_per_run
        return PhaseEnvironment(Limits(seconds, memory), config.confinement)

    def spec(self, config: RunConfig, compiled: Path | None = None) -> JobSpec:
        """Return the specification for the job's processes."""
        source = self.entry.source
        speed_seconds, speed_images = config.speed_measurement
        return JobSpec(
            submission=source.name,
            folder=source.folder,
            variant=self.entry.variant,
            overrides=self.identity.overrides,
            seed=self.seed,
            protocol=self.entry.protocol,
            steps=self.entry.steps,
            data=self.entry.dataset.job,
            as_published=source.manifest.as_published,
            device=config.device,
            threads=config.threads_per_run,
            work=(self.folder / WORK).resolve(),
            checkpoint_seconds=config.checkpoint_seconds,
            speed_seconds=speed_seconds,
            speed_images=speed_images,
            memory_bytes=config.memory_per_run,
            execution=self.execution(config),
            compile=config.compile,
            runs_ahead=sum(job.state is State.TO_DO for job in self.entry.jobs),
            compiled=compiled and compiled / source.name / self.entry.variant,
        )

    def invocation(self, config: RunConfig) -> Invocation:
        """Return the options that repeat this run, as far as they are not in its record."""
        return Invocation(
            identity=self.identity,
            profile=config.profile,
            track=self.entry.protocol.track,
            folder=self.entry.source.folder,
            track_file=config.track_file,
            embedded=config.embedded,
            data_root=None if config.data_root == data_root(None) else config.data_root.resolve(),
        )

    def execution(self, config: RunConfig) -> Execution:
        """Return how steps are executed: as in the interrupted run, else the fastest way found by verification."""
        verification = self.entry.verification
        execution = Execution() if verification is None else verification.execution
        with contextlib.suppress(RunFailed):
            execution = read_report(self.folder / WORK / "train" / SPEC, JobSpec).execution
        return execution.model_copy(update={"precision": config.precision})


@dataclass
class Entry:
    """A (submission, variant) with its jobs; it is verified once."""

    source: SubmissionSource
    variant: str
    protocol: Protocol
    steps: int  # per run
    dataset: ResolvedDataset
    jobs: list[Job] = field(default_factory=list)
    verification: Verification | None = None

    @property
    def label(self) -> str:
        """The entry's name in messages."""
        return label_of(self.source.name, self.variant)

    @property
    def claims(self) -> Claims:
        """The paper's claims about this variant."""
        return self.source.manifest.claims_of(self.variant)

    def seconds_per_job(self) -> float | None:
        """Estimate the seconds per seed from the measured speeds; None if training speed was not measured."""
        if self.verification is None or self.verification.training_steps_per_s is None:
            return None
        seconds = self.steps / self.verification.training_steps_per_s.median_per_s
        inference = self.verification.inference_images_per_s
        if inference is not None:
            images = self.protocol.samples or len(self.dataset.evaluation_labels)
            seconds += images / inference.median_per_s
        return seconds


@dataclass(frozen=True)
class Plan:
    """The entries and jobs of a command. The runner updates the jobs' states."""

    entries: Sequence[Entry]
    config: RunConfig  # resolved, with ``jobs`` and ``threads`` chosen
    real_images: Sequence[Job] = ()  # jobs that score real images as samples, one per protocol
    notices: Sequence[str] = ()  # about the results folder and missing metric weights
    problems: Sequence[BenchError] = ()  # of submissions that are not in the plan

    def jobs(self, *states: State) -> list[Job]:
        """Return the jobs in one of ``states``; without arguments, all jobs."""
        return [job for entry in self.entries for job in entry.jobs if not states or job.state in states]

    def runs_that_fit(self) -> int | None:
        """Return how many parallel runs fit on the GPU, by the loads measured so far; None without any."""
        verified = [entry.verification for entry in self.entries if entry.verification is not None]
        loads = [verification.load for verification in verified if verification.load is not None]
        sizes = [verification.environment.get("device_memory_bytes", 0) for verification in verified]
        return runs_that_fit(loads, max(sizes, default=0))

    def estimate_seconds(self) -> float | None:
        """Estimate the wall time of the jobs to do, at the configured parallelism; None before any measurement."""
        total = 0.0
        for job in self.jobs(State.TO_DO):
            seconds = job.entry.seconds_per_job()
            if seconds is None:
                return None
            # Two processes per job start, import torch and read the data: about ten seconds on a slow machine.
            total += seconds + 10.0
            if job.generates and self.config.device == "cpu":
                total += SCORING_SECONDS * (job.entry.protocol.samples or 0)
        return total / max(1, min(self.config.side_by_side, len(self.jobs(State.TO_DO))))
