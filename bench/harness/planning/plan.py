"""The plan of a command: its jobs, and whether each has to run. It does not change after it is made."""

import contextlib
import enum
from collections.abc import Sequence
from dataclasses import dataclass
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
from bench.harness.submissions.discovery import SubmissionSource

# The default timeout: 20 times the estimate, at least 30 minutes; 7 days without an estimate.
TIMEOUT_FACTOR, MIN_TIMEOUT_SECONDS, TIMEOUT_WITHOUT_ESTIMATE = 20.0, 1800.0, 7 * 86400.0


class Planned(enum.Enum):
    """Whether a job has to run, when the plan is made."""

    TO_DO = "to do"
    DONE = "done"
    FAILED = "failed"  # in an earlier command; `--retry failed` repeats it


@dataclass(frozen=True, eq=False)
class Entry:
    """A (submission, variant) under one protocol. It is verified once, for all its jobs.

    Two entries are equal only if they are the same object, as two jobs are: both are keys of dictionaries.
    """

    source: SubmissionSource
    variant: str
    protocol: Protocol
    steps: int  # per run
    dataset: ResolvedDataset

    @property
    def label(self) -> str:
        """The entry's name in messages."""
        return label_of(self.source.name, self.variant)

    @property
    def claims(self) -> Claims:
        """The paper's claims about this variant."""
        return self.source.manifest.claims_of(self.variant)

    def seconds_per_job(self, verification: Verification | None) -> float | None:
        """Estimate the seconds per seed from the verified speeds; None if training speed was not measured."""
        if verification is None or verification.training_steps_per_s is None:
            return None
        seconds = self.steps / verification.training_steps_per_s.median_per_s
        inference = verification.inference_images_per_s
        if inference is not None:
            images = self.protocol.samples or len(self.dataset.evaluation_labels)
            seconds += images / inference.median_per_s
        return seconds


@dataclass(frozen=True, eq=False)
class Job:
    """A run of one (submission, variant, seed), with one process per phase and one record."""

    entry: Entry
    seed: int
    identity: Identity
    path: Path  # of the record
    state: Planned
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
    def lock(self) -> Path:
        """The file that a command locks while it runs the job."""
        return self.path.with_suffix(".lock")

    @property
    def log(self) -> Path:
        """The log of its processes' output, written together with the record."""
        return self.folder / LOG

    def phase_environment(self, config: RunConfig, verification: Verification | None) -> PhaseEnvironment:
        """Return the limits and the sandbox of its phases; the default timeout follows from verified speeds."""
        seconds = config.timeout_seconds
        if seconds is None:
            estimate = self.entry.seconds_per_job(verification)
            seconds = (
                TIMEOUT_WITHOUT_ESTIMATE
                if estimate is None
                else max(MIN_TIMEOUT_SECONDS, TIMEOUT_FACTOR * estimate)
            )
        memory = config.memory_per_run
        return PhaseEnvironment(Limits(seconds, memory), config.confinement)

    def spec(
        self, config: RunConfig, verification: Verification | None = None, compile_cache: Path | None = None
    ) -> JobSpec:
        """Return the specification for the job's processes.

        Args:
            config: The command's configuration.
            verification: Of the job's entry, which chose how steps are executed; None before it.
            compile_cache: Folder of the command's compiler caches, one per entry; None for one per job.
        """
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
            data=self.entry.dataset.job_data,
            as_published=source.manifest.as_published,
            device=config.device,
            threads=config.threads_per_run,
            work=(self.folder / WORK).resolve(),
            checkpoint_seconds=config.checkpoint_seconds,
            speed_seconds=speed_seconds,
            speed_images=speed_images,
            memory_bytes=config.memory_per_run,
            execution=self.execution(config, verification),
            compile=config.compile,
            compile_cache=compile_cache and compile_cache / source.name / self.entry.variant,
        )

    def invocation(self, config: RunConfig) -> Invocation:
        """Return the options that repeat this run, as far as they are not in its record."""
        return Invocation(
            identity=self.identity,
            profile=config.profile,
            track=self.entry.protocol.track,
            folder=self.entry.source.folder,
            track_file=config.track,
            embedded=config.embedded,
            data_root=None if config.data_root == data_root(None) else config.data_root.resolve(),
        )

    def execution(self, config: RunConfig, verification: Verification | None) -> Execution:
        """Return how steps are executed: as in the interrupted run, else the fastest way found by verification."""
        execution = Execution() if verification is None else verification.execution
        with contextlib.suppress(RunFailed):
            execution = read_report(self.folder / WORK / "train" / SPEC, JobSpec).execution
        return execution.model_copy(update={"precision": config.precision})


@dataclass(frozen=True)
class Plan:
    """The jobs of a command, as they are before any of them runs."""

    jobs: Sequence[Job]
    config: RunConfig  # resolved, with ``jobs`` and ``threads`` chosen
    real_images: Sequence[Job] = ()  # jobs that score real images as samples, one per protocol
    notices: Sequence[str] = ()  # about the results folder and missing metric weights
    problems: Sequence[BenchError] = ()  # of submissions that are not in the plan

    @property
    def entries(self) -> list[Entry]:
        """The entries of the jobs, in order."""
        return list(dict.fromkeys(job.entry for job in self.jobs))

    def in_state(self, state: Planned) -> list[Job]:
        """Return the jobs that were planned in this state."""
        return [job for job in self.jobs if job.state is state]
