"""The command that searches: tune."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.options import (
    Address,
    DataRoot,
    Device,
    Embedded,
    Executor,
    GpusPerRun,
    Jobs,
    LogFormat,
    Memory,
    Results,
    Sandbox,
    Threads,
    Timeout,
    TrackOption,
)


def tune(
    path: Annotated[Path, typer.Argument(help="One submission's folder.", show_default=False)],
    trials: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="In all, earlier ones among them; default: the search's.", show_default=False),
    ] = None,
    search: Annotated[str, typer.Option(help="optuna (TPE) or random.")] = "optuna",
    scheduler: Annotated[
        str, typer.Option(help="asha ends poor trials at rungs; none runs all to the end.")
    ] = "asha",
    profile: Annotated[
        str, typer.Option(help="tuning, quick or smoke: one that scores on validation.")
    ] = "tuning",
    report: Annotated[bool, typer.Option("--report", help="Run nothing; show what was found.")] = False,
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    track: TrackOption = None,
    results: Results = Path("results"),
    jobs: Jobs = None,
    threads: Threads = None,
    timeout: Timeout = None,
    memory: Memory = None,
    sandbox: Sandbox = "auto",
    executor: Executor = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = 1.0,
    log_format: LogFormat = "auto",
) -> None:
    """Search the space in submission.yaml on the validation split; the same command goes on where it was left.

    Example: bench tune submissions/inverted_residual_se --trials 50
    """
    from bench.run.command import RunOptions
    from bench.run.tuning.command import TuneOptions, require_optuna, tune_command

    require_optuna()
    from bench.report.tuning import study_text

    name = path.resolve().name
    if report:
        print(study_text(results, name, profile))
        raise typer.Exit
    options = RunOptions(
        paths=[path],
        profile=profile,
        seeds=None,
        variants="base",
        device=device,
        data_root=data_root,
        embedded=embedded,
        track_file=track,
        results=results,
        dry_run=False,
        jobs=jobs,
        threads=threads,
        retry_failed=True,
        force=False,
        timeout=timeout,
        memory=memory,
        sandbox=sandbox,
        compile="off",
        executor=executor,
        address=address,
        gpus_per_run=gpus_per_run,
        log_format=log_format,
    )
    code = tune_command(TuneOptions(options, trials, search, scheduler))
    print(study_text(results, name, profile))
    raise typer.Exit(code)
