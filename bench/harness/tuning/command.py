"""``bench tune``: a hyperparameter search scored on the validation split. An interrupted search is resumed."""

import importlib.util
from dataclasses import dataclass, replace

from bench.contract.searches import STUDY, Sampler, Scheduler, Search, study_folder
from bench.contract.tracks import protocol_of
from bench.errors import DataError, ExitCode, NothingToDo, ResultsError, UsageError
from bench.harness.commands.run import choose_executor, resolve_config, slots_of
from bench.harness.config import RunConfig, check_choice
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.executor import Executor, LocalExecutor
from bench.harness.planning.datasets import DatasetResolver, choose_data
from bench.harness.progress.choose import choose_display
from bench.harness.results.recording import check_writable
from bench.harness.submissions.discovery import SubmissionSource, submissions_of
from bench.locks import InUse, locked
from bench.measure.metrics.weights import INCEPTION, missing


@dataclass(frozen=True)
class TuneOptions:
    """The options of ``bench tune``."""

    run: RunConfig  # the options shared with ``bench run``; one path; studies are stored in its results folder
    trials: int | None  # total number of trials; None for the number in submission.yaml
    sampler: Sampler
    scheduler: Scheduler


def tune_command(options: TuneOptions) -> ExitCode:
    """Start or resume a submission's study, and run trials until it has the requested number.

    Returns:
        0; 3 if no trial of the study was completed.

    Raises:
        BenchError: If the submission has no search, an option is wrong, or data are missing.
        KeyboardInterrupt: After Ctrl-C; the study and checkpoints are kept.
    """
    require_optuna()
    source, search = _submission(options.run)
    profile = source.track.profile(options.run.profile)
    if profile.evaluate != "validation":
        raise UsageError(
            f"--profile {options.run.profile}: scores on {profile.evaluate}; a search may use only validation"
        )
    cluster = choose_executor(options.run, [source.folder])
    try:
        config = resolve_config(options.run, cluster)
        config = config.with_parallelism(options.trials or search.trials, slots_of(config, cluster))
        folder = study_folder(options.run.results, source.name, options.run.profile)
        config = replace(config, results=folder)
        check_writable(folder)
        try:
            with locked(folder / ".lock", seconds=0):
                executor = cluster or LocalExecutor(config.device, config.side_by_side)
                return _search(options, source, search, config, executor)
        except InUse:
            raise ResultsError(
                f"{folder}: another `bench tune` is already running this study; wait for it"
            ) from None
    finally:
        if cluster is not None:
            cluster.close()


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        UsageError: If it is not; the message says how to install it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UsageError("bench tune: optuna is not installed; `pip install 'capbench[tune]'`")


def _submission(config: RunConfig) -> tuple[SubmissionSource, Search]:
    """Return the one submission and its search."""
    sources, broken = submissions_of(config.paths, config.track)
    for _, error in broken:
        raise error
    if len(sources) != 1:
        raise UsageError(f"{len(sources)} submissions; `bench tune` takes one")
    search = sources[0].manifest.search
    if search is None:
        raise NothingToDo(
            f"{sources[0].folder}: submission.yaml has no `search`; add one, such as "
            "`search: {space: {learning_rate: {log_uniform: [1.0e-4, 1.0e-1]}}}`"
        )
    return sources[0], search


def _search(
    options: TuneOptions, source: SubmissionSource, search: Search, config: RunConfig, executor: Executor
) -> ExitCode:
    """Open the study, and run its remaining trials."""
    from bench.harness.tuning.study import check_objective, open_study, prepare
    from bench.harness.tuning.trials import Trials

    check_choice(Sampler, options.sampler, "--search")
    check_choice(Scheduler, options.scheduler, "--scheduler")
    track, profile = source.track, source.track.profile(config.profile)
    data = choose_data(track, config.profile, config.data_root, config.embedded)
    protocol = protocol_of(track, config.profile, data)
    if track.task == "generation" and (reason := missing(INCEPTION)) is not None:
        raise DataError(f"generators are tuned by {protocol.metric.label}: {reason}")
    dataset = DatasetResolver(config.data_root).resolve(track, profile, data)
    study = open_study(
        config.results,
        maximise=protocol.metric.better == "higher",
        sampler=options.sampler,
        scheduler=options.scheduler,
        rungs=search.rungs,
    )
    check_objective(study, protocol.metric, config.results / STUDY)
    total = options.trials or search.trials
    interrupted, remaining = prepare(study, search, total, config.results / STUDY)
    display = choose_display(options.run.log_format)
    try:
        rungs = ", ".join(f"{step:,}" for step in search.rungs.steps(track.steps(config.profile, None)))
        schedule = f"compared after {rungs} steps" if options.scheduler == "asha" else "without pruning"
        resumed = f", {interrupted} of them interrupted earlier" if interrupted else ""
        display.message(
            f"study of {source.name}: {remaining} of {total} trials to run{resumed}, {schedule}; "
            f"{config.side_by_side} side by side; scored on {profile.evaluate} of {data}"
        )
        trials = Trials(
            study,
            search,
            source,
            protocol,
            dataset,
            config,
            executor,
            display,
            pruned=options.scheduler == "asha",
        )

        def tick() -> None:
            display.tick()
            executor.tick()

        side_by_side(
            lambda _: trials.run(),
            range(remaining),
            lambda _: config.side_by_side,
            tick=tick,
            stop=trials.stop.set,
        )
    finally:
        display.close()
    return ExitCode.OK if any(trial.value is not None for trial in study.trials) else ExitCode.RUN_FAILED
