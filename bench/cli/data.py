"""The commands under ``bench data``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DataRoot


def list_(data_root: DataRoot = None) -> None:
    """What is present, where it is looked for, and how to get the rest."""
    from bench.run.data_command import list_text

    print(list_text(data_root))


def verify(data_root: DataRoot = None) -> None:
    """Check the files against their published checksums, and report duplicates and train-test overlaps."""
    from bench.run.data_command import verify_command

    raise typer.Exit(verify_command(data_root))


def unpack(
    folder: Annotated[Path, typer.Argument(help="A folder that holds the official archives, or one archive.")],
    data_root: DataRoot = None,
) -> None:
    """Unpack official archives that you downloaded into the data root."""
    from bench.run.data_command import unpack_text

    print(unpack_text(folder, data_root))


def fetch(
    name: Annotated[str, typer.Argument(help="cifar100, mnist or cifair.")], data_root: DataRoot = None
) -> None:
    """Download a data set, or the list of near-duplicates, from its official address, resuming what was begun."""
    from bench.run.data_command import fetch_text

    print(fetch_text(name, data_root))
