"""Real images in the place of samples: the jobs that score them, beside the plan's own."""

from collections.abc import Callable
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, Manifest
from bench.contract.records import REAL_IMAGES
from bench.contract.tracks import Protocol, Track
from bench.measure.weights import ALL, missing
from bench.run.datasets import DataFacts
from bench.run.discovery import Found
from bench.run.plan import Entry, Job, Plan, State, make_job
from bench.run.settings import Settings


def add_floors(plan: Plan) -> None:
    """Add to ``plan`` the scoring of real images, once for each protocol under which samples are to be scored."""
    to_do = {job.entry.protocol.hash: job.entry for job in plan.jobs(State.TO_DO) if job.generates}
    if not to_do:
        return
    reason = missing(*ALL)
    if reason is not None:
        plan.notices.append(f"some metrics of samples will be null: {reason}")
        return
    for entry in to_do.values():
        floor = floor_job(entry.found.track, entry.protocol, entry.facts, plan.settings, plan.notices.append)
        if floor.state is State.TO_DO:
            plan.floors.append(floor)


def floor_job(
    track: Track, protocol: Protocol, facts: DataFacts, settings: Settings, notice: Callable[[str], None]
) -> Job:
    """The job that scores real training images as if they were samples."""
    found = Found(REAL_IMAGES, Path(), Manifest(track=track.name), track, {})
    entry = Entry(found, BASE_VARIANT, protocol, 0, facts)
    entry.jobs = [make_job(entry, 0, settings, notice)]
    return entry.jobs[0]
