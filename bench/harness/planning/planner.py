"""Planning: the runs of a configuration, and which of them already have a record."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, REAL_IMAGES, Manifest
from bench.contract.records.files import NewerRecord, read_record, record_path
from bench.contract.records.origin import is_marked
from bench.contract.records.record import Identity, Record
from bench.contract.tracks import Protocol, Track, protocol_of
from bench.errors import BenchError, ResultsError
from bench.harness.config import RunConfig, parse_seeds
from bench.harness.planning.datasets import DatasetResolver, ResolvedDataset, choose_data
from bench.harness.planning.plan import Entry, Job, Plan, Planned
from bench.harness.submissions.discovery import SubmissionSource, variants_of
from bench.measure.metrics.weights import ALL, missing


def make_plan(sources: Sequence[SubmissionSource], config: RunConfig, *, remote_slots: int | None = None) -> Plan:
    """Plan the runs of a command, and look up which of them have a record.

    Args:
        sources: The submissions. One whose data are missing, for example, becomes a problem of the plan.
        config: The resolved configuration; the number of parallel runs is chosen here.
        remote_slots: Number of runs that a cluster takes at once; None on this machine.

    Raises:
        UsageError: If ``--seeds`` is invalid.
    """
    parse_seeds(config.seeds, 1)  # an invalid option ends the command, before any submission is planned
    datasets, jobs = DatasetResolver(config.data_root), list[Job]()
    notices, problems = list[str](), list[BenchError]()
    for source in sources:
        try:
            jobs += _jobs(source, datasets, config, notices.append)
        except BenchError as error:
            problems.append(type(error)(f"{source.name}: {error}"))
    to_do = [job for job in jobs if job.state is Planned.TO_DO]
    try:
        real_images = _real_images_jobs(to_do, config, notices.append)
    except NewerRecord as error:
        real_images, problems = [], [*problems, error]
    return Plan(jobs, config.with_parallelism(len(to_do), remote_slots), real_images, notices, problems)


def _jobs(
    source: SubmissionSource, datasets: DatasetResolver, config: RunConfig, notice: Callable[[str], None]
) -> list[Job]:
    track = source.track
    profile = track.profile(config.profile)
    data = choose_data(track, config.profile, config.data_root, config.embedded)
    dataset = datasets.resolve(track, profile, data)
    protocol = protocol_of(track, config.profile, data)
    seeds = parse_seeds(config.seeds, profile.seeds)
    jobs = []
    for variant in variants_of(source, config.variants):
        steps = track.steps(config.profile, source.manifest.official_steps(variant))
        entry = Entry(source, variant, protocol, steps, dataset)
        jobs += [make_job(entry, seed, config, notice) for seed in seeds]
    return jobs


def make_job(entry: Entry, seed: int, config: RunConfig, notice: Callable[[str], None]) -> Job:
    """Make the job of one seed, with the state that follows from an existing record.

    Args:
        entry: The job's entry.
        seed: The seed.
        config: The resolved configuration.
        notice: Called with a message about an unusable record.
    """
    identity = Identity(
        submission=entry.source.name,
        variant=entry.variant,
        seed=seed,
        overrides=entry.source.manifest.overrides(entry.variant, config.profile),
        source_hash=entry.source.source_hash,
        protocol_hash=entry.protocol.hash,
        data_fingerprints=entry.dataset.fingerprints,
        device_type=config.device.partition(":")[0],
        precision=config.precision,
        steps=entry.steps,
        as_published=entry.source.manifest.measured_as_published,
    )
    path = record_path(config.results, identity, entry.protocol)
    earlier = read_existing(path, identity, notice)
    if earlier is None or config.force:
        state = Planned.TO_DO
    elif earlier.status == "ok":
        # Metrics that are null because weights were missing are measured later, from the stored samples.
        measurable = bool(earlier.not_measured) and missing(*ALL) is None
        state = Planned.TO_DO if measurable else Planned.DONE
        if not measurable and is_marked(path):
            notice(f"{path}: made elsewhere, so it does not rank; --force repeats the run here")
    else:
        state = Planned.TO_DO if config.retry_failed else Planned.FAILED
    return Job(entry, seed, identity, path, state, earlier)


def _real_images_jobs(to_do: Sequence[Job], config: RunConfig, notice: Callable[[str], None]) -> list[Job]:
    """Return the jobs that score real images, one per protocol of the generators to run."""
    by_protocol = {job.entry.protocol.hash: job.entry for job in to_do if job.generates}
    if not by_protocol:
        return []
    reason = missing(*ALL)
    if reason is not None:
        notice(f"some metrics of samples will be null: {reason}")
        return []
    jobs = [
        real_images_job(entry.source.track, entry.protocol, entry.dataset, config, notice)
        for entry in by_protocol.values()
    ]
    return [job for job in jobs if job.state is Planned.TO_DO]


def real_images_job(
    track: Track, protocol: Protocol, dataset: ResolvedDataset, config: RunConfig, notice: Callable[[str], None]
) -> Job:
    """Make the job that scores real training images as if they were samples."""
    source = SubmissionSource(REAL_IMAGES, Path(), Manifest(track=track.name), track, {})
    return make_job(Entry(source, BASE_VARIANT, protocol, 0, dataset), 0, config, notice)


def read_existing(path: Path, identity: Identity, notice: Callable[[str], None]) -> Record | None:
    """Read the record of a run at ``path``; None if it is missing or unusable.

    Args:
        path: The record's path.
        identity: The run's identity; the record of another run is unusable.
        notice: Called with a message about an unusable record. The file is not moved, since a plan may never be
            executed; the function that writes the run's record keeps it under another name.

    Raises:
        NewerRecord: If a newer version of the harness wrote the record, which must not be replaced.
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
    notice(f"{reason}; a new run replaces it and keeps a copy as {path.with_suffix('.unusable').name}")
    return None
