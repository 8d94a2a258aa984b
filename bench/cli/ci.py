"""The command for CI services: ci."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Sandbox

DEFAULT_LIMITS = "accuracy:-1pp,fid:+5%"  # parameters may increase up to the cap


def ci(
    base: Annotated[
        str | None,
        typer.Option(
            help="Git revision to compare with; without it, every submission is verified, and none compared.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also verify submissions that are as at the base.")
    ] = False,
    smoke: Annotated[bool, typer.Option(help="Run each submission for a few steps on drawn images.")] = True,
    fail_on: Annotated[
        str, typer.Option(help="Limits as of `bench check`, for changed records and counts; empty for none.")
    ] = DEFAULT_LIMITS,
    sandbox: Sandbox = "auto",
    report: Annotated[Path | None, typer.Option(help="Markdown file to write.", show_default=False)] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit file to write.", show_default=False)] = None,
) -> None:
    """Check what a pull request changes, and report.

    Submissions that have changed since the base are verified and run for a few steps, without data. Counts and
    changed records are compared with the base.

    Example: bench ci --base main --report report.md
    """
    from bench.ci.command import CiOptions, ci_command

    raise typer.Exit(ci_command(CiOptions(base, everything, smoke, fail_on, sandbox, report, junit)))
