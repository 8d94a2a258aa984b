"""The plan of a command: which jobs it means, which of them are done, and how long the rest will take."""

import contextlib
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.contract.asked import Asked
from bench.contract.jobs import (
    SPEC,
    WORK,
    Execution,
    JobSpec,
    Phase,
    Verification,
    read_report,
)
from bench.contract.manifest import Claims, label_of
from bench.contract.records import Identity, NewerRecord, Record, read_record, record_path
from bench.contract.tracks import Protocol, protocol_of
from bench.data.store import data_root
from bench.errors import BenchError, ResultsError, RunFailed
from bench.measure.weights import ALL as ALL_WEIGHTS
from bench.measure.weights import missing
from bench.run.datasets import DataFacts, DataSets, choose_data
from bench.run.devices import runs_that_fit
from bench.run.discovery import Found, variants_of
from bench.run.executors.limits import Limits
from bench.run.executors.local import LOG, Conditions
from bench.run.settings import Settings, parse_seeds

# Without --timeout: a run that takes twenty times as long as was estimated hangs.
PATIENCE, LEAST_SECONDS, UNKNOWN_SECONDS = 20.0, 1800.0, 7 * 86400.0
SCORING_SECONDS = 0.2  # a sample, on one CPU thread: mostly two passes through Inception; for the estimate only


class State(enum.Enum):
    """Whether a job has to run."""

    TO_DO = "to do"
    DONE = "done"
    FAILED = "failed"  # earlier; runs again with --retry failed


@dataclass
class Job:
    """One (submission, variant, seed): a process for each phase, one record."""

    entry: "Entry"
    seed: int
    identity: Identity
    path: Path  # of the record
    state: State
    earlier: Record | None  # the record that is there

    @property
    def label(self) -> str:
        """How the job is called on screen."""
        return f"{self.entry.label} seed {self.seed}"

    @property
    def generates(self) -> bool:
        """Whether the job's results are images, to be scored in a phase of their own."""
        return self.entry.protocol.task == "generation"

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What it goes through, in order."""
        return ("train", "evaluate", "score") if self.generates else ("train", "evaluate")

    @property
    def folder(self) -> Path:
        """Beside the record: weights, samples, log, and while it runs its work folder."""
        return self.path.with_suffix("")

    @property
    def log(self) -> Path:
        """All that its processes printed, once it has its record."""
        return self.folder / LOG

    def conditions(self, settings: Settings) -> Conditions:
        """Under which its phases run."""
        seconds = settings.timeout_seconds
        if seconds is None:
            estimate = self.entry.seconds_per_job()
            seconds = UNKNOWN_SECONDS if estimate is None else max(LEAST_SECONDS, PATIENCE * estimate)
        memory = settings.memory_per_run
        return Conditions(Limits(seconds, memory), settings.walls)

    def spec(self, settings: Settings) -> JobSpec:
        """What the job's processes are told."""
        found = self.entry.found
        speed_seconds, speed_images = settings.speed
        return JobSpec(
            submission=found.name,
            folder=found.folder,
            variant=self.entry.variant,
            overrides=self.identity.overrides,
            seed=self.seed,
            protocol=self.entry.protocol,
            steps=self.entry.steps,
            data=self.entry.facts.job,
            as_published=found.manifest.as_published,
            device=settings.device,
            threads=settings.threads,
            work=(self.folder / WORK).resolve(),
            checkpoint_seconds=settings.checkpoint_seconds,
            speed_seconds=speed_seconds,
            speed_images=speed_images,
            memory_bytes=settings.memory_per_run,
            execution=self.execution(settings),
            compile=settings.compile,
            runs_ahead=sum(job.state is State.TO_DO for job in self.entry.jobs),
            compiled=settings.compiled and settings.compiled / found.name / self.entry.variant,
        )

    def asked(self, settings: Settings) -> Asked:
        """What it takes to ask for it again, besides what its record says."""
        return Asked(
            identity=self.identity,
            profile=settings.profile,
            track=self.entry.protocol.track,
            folder=self.entry.found.folder,
            track_file=settings.track_file,
            embedded=settings.embedded,
            data_root=None if settings.data_root == data_root(None) else settings.data_root.resolve(),
        )

    def execution(self, settings: Settings) -> Execution:
        """How its steps are computed: as it was begun, else as verifying found fastest."""
        verification = self.entry.verification
        way = Execution() if verification is None else verification.execution
        with contextlib.suppress(RunFailed):
            way = read_report(self.folder / WORK / "train" / SPEC, JobSpec).execution
        return way.model_copy(update={"precision": settings.precision})


@dataclass
class Entry:
    """One (submission, variant) with its jobs; verified once."""

    found: Found
    variant: str
    protocol: Protocol
    steps: int  # of each of its runs
    facts: DataFacts
    jobs: list[Job] = field(default_factory=list)
    verification: Verification | None = None

    @property
    def label(self) -> str:
        """How the entry is called on screen."""
        return label_of(self.found.name, self.variant)

    @property
    def claims(self) -> Claims:
        """What the paper reports for this variant."""
        return self.found.manifest.claims_of(self.variant)

    def seconds_per_job(self) -> float | None:
        """How long one seed will take, from the speed measured on this device; None if it was not."""
        if self.verification is None or self.verification.training_steps_per_s is None:
            return None
        seconds = self.steps / self.verification.training_steps_per_s.median_per_s
        inference = self.verification.inference_images_per_s
        if inference is not None:
            images = self.protocol.samples or len(self.facts.evaluation_labels)
            seconds += images / inference.median_per_s
        return seconds


@dataclass
class Plan:
    """Everything that a command means."""

    entries: list[Entry]
    settings: Settings
    notices: list[str] = field(default_factory=list)  # what the user should know of the results folder
    floors: list[Job] = field(default_factory=list)  # real images in the place of samples, one a protocol

    def jobs(self, *states: State) -> list[Job]:
        """The jobs in one of ``states``; all for none given."""
        return [job for entry in self.entries for job in entry.jobs if not states or job.state in states]

    def runs_that_fit(self) -> int | None:
        """How many runs a GPU bears side by side, as far as it was measured; None for no such limit."""
        verified = [entry.verification for entry in self.entries if entry.verification is not None]
        loads = [verification.load for verification in verified if verification.load is not None]
        sizes = [verification.environment.get("device_memory_bytes", 0) for verification in verified]
        return runs_that_fit(loads, max(sizes, default=0))

    def estimate_seconds(self) -> float | None:
        """Wall time of what is to do, with jobs side by side as set; None while nothing was measured."""
        total = 0.0
        for job in self.jobs(State.TO_DO):
            seconds = job.entry.seconds_per_job()
            if seconds is None:
                return None
            # Two processes a job start, import and read the data: some ten seconds on a slow machine.
            total += seconds + 10.0
            if job.generates and self.settings.device == "cpu":
                total += SCORING_SECONDS * (job.entry.protocol.samples or 0)
        return total / max(1, min(self.settings.jobs, len(self.jobs(State.TO_DO))))


def make_plan(found: list[Found], settings: Settings) -> tuple[Plan, list[BenchError]]:
    """Work out the jobs of a command and look up which have a record.

    Returns:
        The plan, and why submissions are not in it: no data, a damaged file, no such profile or variant.

    Raises:
        UsageError: If the seeds make no sense.
    """
    parse_seeds(settings.seeds, 1)
    datasets = DataSets(settings.data_root)
    plan, problems = Plan([], settings), list[BenchError]()
    for submission in found:
        try:
            plan.entries += _entries(submission, datasets, settings, plan.notices.append)
        except BenchError as error:
            problems.append(type(error)(f"{submission.name}: {error}"))
    return plan, problems


def _entries(
    submission: Found, datasets: DataSets, settings: Settings, notice: Callable[[str], None]
) -> list[Entry]:
    track = submission.track
    profile = track.profile(settings.profile)
    data = choose_data(track, settings.profile, settings.data_root, settings.embedded)
    facts = datasets.facts(track, profile, data)
    protocol = protocol_of(track, settings.profile, data)
    entries = []
    for variant in variants_of(submission, settings.variants):
        steps = track.steps(settings.profile, submission.manifest.official_steps(variant))
        entry = Entry(submission, variant, protocol, steps, facts)
        seeds = parse_seeds(settings.seeds, profile.seeds)
        entry.jobs = [make_job(entry, seed, settings, notice) for seed in seeds]
        entries.append(entry)
    return entries


def make_job(entry: Entry, seed: int, settings: Settings, notice: Callable[[str], None]) -> Job:
    """One seed of ``entry``, and whether its record is there already."""
    identity = Identity(
        submission=entry.found.name,
        variant=entry.variant,
        seed=seed,
        overrides=entry.found.manifest.overrides(entry.variant, settings.profile),
        source_hash=entry.found.source_hash,
        protocol_hash=entry.protocol.hash,
        data_fingerprints=entry.facts.fingerprints,
        device_type=settings.device.partition(":")[0],
        precision=settings.precision,
        steps=entry.steps,
        as_published=entry.found.manifest.measured_as_published,
    )
    path = record_path(settings.results, identity, entry.protocol)
    earlier = read_existing(path, identity, notice)
    if earlier is None or settings.force:
        state = State.TO_DO
    elif earlier.status == "ok":
        # What was null for want of weights is measured once they are there, from the samples that were kept.
        measurable = bool(earlier.not_measured) and missing(*ALL_WEIGHTS) is None
        state = State.TO_DO if measurable else State.DONE
    else:
        state = State.TO_DO if settings.retry_failed else State.FAILED
    return Job(entry, seed, identity, path, state, earlier)


def read_existing(path: Path, identity: Identity, notice: Callable[[str], None]) -> Record | None:
    """The record at ``path``; None if there is none, or it is not that of ``identity``, which ``notice`` is told.

    Nothing is moved: a plan may never be carried out. Whoever writes the run's record keeps what is there.

    Raises:
        NewerRecord: If a newer version of the harness wrote it, which is not to be replaced.
    """
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except NewerRecord:
        raise
    except ResultsError as error:
        reason = str(error)
    else:
        if record.identity == identity:
            return record
        reason = f"{path}: is the record of another run (seed {record.identity.seed})"
    notice(f"{reason}; a run that replaces it keeps it as {path.with_suffix('.unusable').name}")
    return None
