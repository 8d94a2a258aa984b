"""Commands to start with: new, doctor, fetch."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Device


def new(
    name: Annotated[str, typer.Argument(help="Name of the submission and of its folder.")],
    task: Annotated[str, typer.Option(help="classification or generation.")] = "classification",
    folder: Annotated[Path, typer.Option(help="Parent of the submission's folder.")] = Path("submissions"),
) -> None:
    """Create a submission from a template.

    The template passes `bench verify` unchanged; replace its model with your own.

    Example: bench new my_net --task classification
    """
    from bench.harness.submissions.scaffold import scaffold

    created = scaffold(name, task, folder)
    print(f"wrote {created}; next: bench verify {created}")


def doctor(device: Device = "auto") -> None:
    """Print this machine's environment as JSON.

    Records store the environment in the same form.

    Example: bench doctor
    """
    import json

    from bench.harness.planning.devices import choose_device
    from bench.measure.machine.environment import capture_environment

    print(json.dumps(capture_environment(choose_device(device)), indent=1))


def fetch(
    weights: Annotated[str, typer.Argument(help="inception, lpips or all.")] = "all",
) -> None:
    """Download the weights for FID, KID and LPIPS (150 MB).

    They are stored in $BENCH_WEIGHTS, else in the user's cache folder.

    Example: bench fetch all
    """
    from bench.harness.commands.fetch import fetch_command

    raise typer.Exit(fetch_command(weights))
