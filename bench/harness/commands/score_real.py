"""``bench score-real``: score real training images as if they were samples."""

from dataclasses import dataclass
from pathlib import Path

from bench.contract.tracks import choose_tracks, protocol_of
from bench.data.store import data_root as resolve_root
from bench.errors import DataError, ExitCode, UsageError
from bench.harness.config import RunConfig
from bench.harness.planning.datasets import DatasetResolver, choose_data
from bench.harness.planning.devices import choose_device
from bench.harness.planning.plan import Plan, Planned
from bench.harness.planning.planner import real_images_job
from bench.harness.progress.choose import choose_display
from bench.harness.results.recording import check_writable
from bench.harness.runner import Runner
from bench.measure.metrics.weights import ALL, missing


@dataclass(frozen=True)
class ScoreRealOptions:
    """The options of ``bench score-real``."""

    track: Path | None  # name of a generation track, or the file of a custom one; None for the first
    profile: str
    device: str
    data_root: Path | None
    embedded: bool
    results: Path
    log_format: str = "auto"


def score_real_command(options: ScoreRealOptions) -> ExitCode:
    """Score real images under one profile of a track, unless their record exists.

    Returns:
        0; 3 if scoring failed.

    Raises:
        UsageError: If the track is no generation track, or an option is invalid.
        DataError: If data or weights are missing.
    """
    chosen = choose_tracks(options.track)
    generation = [item for item in chosen.tracks.values() if item.task == "generation"]
    track = chosen.tracks[chosen.only] if chosen.only is not None else next(iter(generation), None)
    if track is None or track.task != "generation":
        known = ", ".join(sorted(item.name for item in generation)) or "none is known"
        option = "" if options.track is None else f"--track {options.track}: "
        raise UsageError(f"{option}give a generation track ({known}), or the file of a custom one")
    reason = missing(*ALL)
    if reason is not None:
        raise DataError(reason)
    check_writable(options.results)
    config = RunConfig(
        profile=options.profile,
        seeds=None,
        variants="base",
        device=choose_device(options.device),
        results=options.results,
        data_root=resolve_root(options.data_root),
        embedded=options.embedded,
        track=chosen.file and chosen.file.resolve(),
    )
    profile = track.profile(options.profile)
    data = choose_data(track, options.profile, config.data_root, options.embedded)
    dataset = DatasetResolver(config.data_root).resolve(track, profile, data)
    notices: list[str] = []
    job = real_images_job(track, protocol_of(track, options.profile, data), dataset, config, notices.append)
    if job.state is not Planned.TO_DO:
        print(f"nothing to do: {job.path} exists")
        return ExitCode.OK
    display = choose_display(options.log_format)
    runner = Runner(Plan((), config, [job], notices), display)
    try:
        for notice in notices:
            display.message(notice)
        runner.score_real_images()
    finally:
        display.close()
    return ExitCode.OK if job.path.exists() else ExitCode.RUN_FAILED
