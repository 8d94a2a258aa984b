"""What ``bench tune`` does: a search on the validation split, resumed where it was left."""

import importlib.util
from dataclasses import dataclass, replace

from bench.contract.searches import STUDY, Search, study_folder
from bench.contract.tracks import protocol_of
from bench.errors import DataError, ExitCode, NothingToDo, ResultsError, UsageError
from bench.locks import InUse, locked
from bench.measure.weights import INCEPTION, missing
from bench.run.command import RunOptions, choose_executor, one_of, settings_of, side_by_side_settings
from bench.run.datasets import DataSets, choose_data
from bench.run.discovery import Found, submissions_of
from bench.run.executors.executor import Executor, LocalExecutor
from bench.run.progress.choose import choose_display
from bench.run.runner import check_writable
from bench.run.settings import Settings
from bench.run.side_by_side import side_by_side


@dataclass(frozen=True)
class TuneOptions:
    """The command line of ``bench tune``, besides what it shares with ``bench run``."""

    run: RunOptions  # one path; its results folder is the one that studies lie in
    trials: int | None  # in all; None for as many as the search has
    sampler: str
    scheduler: str


def tune_command(options: TuneOptions) -> ExitCode:
    """Go on with a submission's study until it has so many trials.

    Returns:
        0; 3 if no trial came to its end.

    Raises:
        BenchError: If the submission has no search, an option is wrong, or data are absent.
        KeyboardInterrupt: After Ctrl-C; the study and checkpoints are kept.
    """
    require_optuna()
    found, search = _submission(options.run)
    profile = found.track.profile(options.run.profile)
    if profile.evaluate != "validation":
        raise UsageError(
            f"--profile {options.run.profile}: scores on {profile.evaluate}; a search may look at validation alone"
        )
    cluster = choose_executor(options.run, [found.folder])
    try:
        settings = settings_of(options.run, cluster)
        settings = side_by_side_settings(options.run, settings, cluster, options.trials or search.trials)
        folder = study_folder(options.run.results, found.name, options.run.profile)
        settings = replace(settings, results=folder)
        check_writable(folder)
        try:
            with locked(folder / ".lock", seconds=0):
                executor = cluster or LocalExecutor(settings.device, settings.jobs)
                return _search(options, found, search, settings, executor)
        except InUse:
            raise ResultsError(f"{folder}: another `bench tune` is at this study; wait for it") from None
    finally:
        if cluster is not None:
            cluster.close()


def require_optuna() -> None:
    """Fail where there is nothing to search with.

    Raises:
        UsageError: Saying how to install it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UsageError("bench tune: optuna is not installed; `pip install 'capbench[tune]'`")


def _submission(options: RunOptions) -> tuple[Found, Search]:
    """The one submission, and what it searches."""
    found, broken = submissions_of(options.paths, options.track_file)
    for _, error in broken:
        raise error
    if len(found) != 1:
        raise UsageError(f"{len(found)} submissions; `bench tune` takes one")
    search = found[0].manifest.search
    if search is None:
        raise NothingToDo(
            f"{found[0].folder}: submission.yaml has no `search`; give one, such as "
            "`search: {space: {learning_rate: {log_uniform: [1.0e-4, 1.0e-1]}}}`"
        )
    return found[0], search


def _search(
    options: TuneOptions, found: Found, search: Search, settings: Settings, executor: Executor
) -> ExitCode:
    from bench.run.tuning.study import Sampler, Scheduler, open_study, prepare
    from bench.run.tuning.trials import Trials

    sampler = one_of(Sampler, options.sampler, "--search")
    scheduler = one_of(Scheduler, options.scheduler, "--scheduler")
    track, profile = found.track, found.track.profile(settings.profile)
    if track.task == "generation" and (reason := missing(INCEPTION)) is not None:
        raise DataError(f"FID is what generators are tuned by: {reason}")
    data = choose_data(track, settings.profile, settings.data_root, settings.embedded)
    facts = DataSets(settings.data_root).facts(track, profile, data)
    study = open_study(
        settings.results,
        maximise=track.task == "classification",
        sampler=sampler,
        scheduler=scheduler,
        rungs=search.rungs,
    )
    wanted = options.trials or search.trials
    again, left = prepare(study, search, wanted, settings.results / STUDY)
    display = choose_display(options.run.log_format)
    try:
        rungs = ", ".join(f"{step:,}" for step in search.rungs.steps(track.steps(settings.profile, None)))
        compared = f"compared after {rungs} steps" if scheduler == "asha" else "all to the end"
        lost = f", {again} of them begun before" if again else ""
        display.message(
            f"study of {found.name}: {left} of {wanted} trials to run{lost}, {compared}; {settings.jobs} side by "
            f"side; scored on {profile.evaluate} of {data}"
        )
        trials = Trials(
            study,
            search,
            found,
            protocol_of(track, settings.profile, data),
            facts,
            settings,
            executor,
            display,
            pruned=scheduler == "asha",
        )

        def tick() -> None:
            display.tick()
            executor.tick()

        side_by_side(lambda _: trials.run(), range(left), lambda _: settings.jobs, tick=tick, stop=trials.stop.set)
    finally:
        display.close()
    return ExitCode.OK if any(trial.value is not None for trial in study.trials) else ExitCode.RUN_FAILED
