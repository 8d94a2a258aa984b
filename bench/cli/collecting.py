"""The command that gathers the submissions of a contest: collect."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import folder_of_contest


def collect(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, archives (.zip, .tar, .tar.gz, .tgz, .tar.xz) and git addresses, these with #REF for a "
            "branch, tag or commit.",
            show_default=False,
        ),
    ] = None,
    into: Annotated[Path, typer.Option(help="Folder for the submissions.", callback=folder_of_contest)] = Path(
        "submissions"
    ),
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="CSV file with the columns source, team, name, ref; only source is needed.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything; write nothing.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an earlier version of the same team or source.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Folder for weights that lie beside model.py (weights.safetensors or weights.pt), for "
            "`bench score-weights`; default: they are left out.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Collect submissions from folders, archives and git repositories.

    Their code is not run. Exit code: 2 if one was refused; the others are collected.

    Example: bench collect downloads/*.zip --into submissions
    """
    from bench.harness.submissions.collecting.command import CollectOptions, collect_command

    raise typer.Exit(collect_command(CollectOptions(sources or [], into, list_, dry_run, replace, weights)))
