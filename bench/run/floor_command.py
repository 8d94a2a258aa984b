"""What ``bench floor`` does."""

from dataclasses import dataclass
from pathlib import Path

from bench.contract.tracks import choose_tracks, protocol_of
from bench.data.store import data_root as resolve_root
from bench.errors import DataError, ExitCode, UsageError
from bench.measure.weights import ALL, missing
from bench.run.datasets import DataSets, choose_data
from bench.run.devices import choose_device
from bench.run.floors import floor_job
from bench.run.plan import Plan, State
from bench.run.progress.choose import choose_display
from bench.run.runner import Runner, check_writable
from bench.run.settings import Settings


@dataclass(frozen=True)
class FloorOptions:
    """The command line of ``bench floor``."""

    track: Path  # a generation track's name, or the file of one's own
    profile: str
    device: str
    data_root: Path | None
    embedded: bool
    results: Path
    log_format: str = "auto"


def floor_command(options: FloorOptions) -> ExitCode:
    """Score real images under one profile of a track, unless that is done.

    Raises:
        UsageError: If it is not a generation track, or an option is wrong.
        DataError: If data or weights are not there.
    """
    chosen = choose_tracks(options.track)
    track = chosen.tracks[chosen.only] if chosen.only is not None else None
    if track is None or track.task != "generation":
        known = ", ".join(sorted(name for name, item in chosen.tracks.items() if item.task == "generation"))
        raise UsageError(f"--track {options.track}: give a generation track: {known}, or a file of your own")
    reason = missing(*ALL)
    if reason is not None:
        raise DataError(reason)
    check_writable(options.results)
    settings = Settings(
        profile=options.profile,
        seeds=None,
        variants="base",
        device=choose_device(options.device),
        results=options.results,
        data_root=resolve_root(options.data_root),
        embedded=options.embedded,
        track_file=chosen.file and chosen.file.resolve(),
    )
    profile = track.profile(options.profile)
    data = choose_data(track, options.profile, settings.data_root, options.embedded)
    facts = DataSets(settings.data_root).facts(track, profile, data)
    plan = Plan([], settings)
    job = floor_job(track, protocol_of(track, options.profile, data), facts, settings, plan.notices.append)
    if job.state is not State.TO_DO:
        print(f"nothing to do: {job.path} is there")
        return ExitCode.OK
    plan.floors.append(job)
    display = choose_display(options.log_format)
    runner = Runner(plan, display)
    try:
        runner.run_floors()
    finally:
        display.close()
    return ExitCode.OK if job.path.exists() else ExitCode.RUN_FAILED
