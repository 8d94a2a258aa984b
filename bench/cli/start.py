"""Commands that one begins with: new, doctor, fetch."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Device


def new(
    name: Annotated[str, typer.Argument(help="Name of the submission; its folder is created.")],
    task: Annotated[str, typer.Option(help="classification or generation.")] = "classification",
    folder: Annotated[Path, typer.Option(help="Where the submission's folder goes.")] = Path("submissions"),
) -> None:
    """Write a submission that verifies as it stands, to be changed into your own.

    Example: bench new my_net --task classification
    """
    from bench.run.scaffold import scaffold

    created = scaffold(name, task, folder)
    print(f"wrote {created}; next: bench verify {created}")


def doctor(device: Device = "auto") -> None:
    """Print this machine's environment as a record would hold it."""
    import json

    from bench.measure.environment import capture_environment
    from bench.run.devices import choose_device

    print(json.dumps(capture_environment(choose_device(device)), indent=1))


def fetch(
    what: Annotated[str, typer.Argument(help="inception, lpips or all.")] = "all",
) -> None:
    """Get the weights that FID, KID and LPIPS need (150 MB) into $BENCH_WEIGHTS or this user's cache.

    Example: bench fetch all
    """
    from bench.run.fetch_command import fetch_command

    raise typer.Exit(fetch_command(what))
