"""The command for hyperparameter search: tune."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import OnePath
from bench.cli.run_options import with_run_options

if TYPE_CHECKING:
    from bench.harness.config import RunConfig

UNUSED_RUN_OPTIONS = ("seeds", "seed", "variants", "dry_run", "retry", "force", "precision", "compile_", "speeds")


@with_run_options(without=UNUSED_RUN_OPTIONS)
def tune(
    path: OnePath,
    config: "RunConfig",
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Total trials, finished ones included; default: as in submission.yaml.",
            show_default=False,
        ),
    ] = None,
    search: Annotated[str, typer.Option(help="Sampler: optuna (TPE) or random.")] = "optuna",
    scheduler: Annotated[
        str, typer.Option(help="asha (stops poor trials early) or none (runs every trial to the end).")
    ] = "asha",
    profile: Annotated[
        str, typer.Option(help="Profile that scores on validation: tuning, quick or smoke.")
    ] = "tuning",
    report: Annotated[bool, typer.Option("--report", help="Show the results so far; run nothing.")] = False,
) -> None:
    """Search hyperparameters on the validation split.

    The search space is in submission.yaml. Repeat the command to resume.

    Example: bench tune submissions/inverted_residual_se --trials 50
    """
    from bench.harness.tuning.command import TuneOptions, require_optuna, tune_command

    require_optuna()
    from bench.report.tuning import study_text

    name = path.resolve().name
    if report:
        print(study_text(config.results, name, config.profile))
        raise typer.Exit
    config = replace(config, paths=[path], retry_failed=True, compile="off")
    options = TuneOptions(config, trials, search, scheduler)  # type: ignore[arg-type]  # checked by the command
    code = tune_command(options)
    print(study_text(config.results, name, config.profile))
    raise typer.Exit(code)
