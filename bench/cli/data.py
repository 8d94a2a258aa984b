"""The commands under ``bench data``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DataRoot


def list_(data_root: DataRoot = None) -> None:
    """List the data sets and how to get missing ones.

    Example: bench data list
    """
    from bench.harness.commands.data import list_text

    print(list_text(data_root))


def verify(data_root: DataRoot = None) -> None:
    """Check data files against published checksums.

    Also reports duplicate images, and test images that occur in the training split.

    Example: bench data verify
    """
    from bench.harness.commands.data import verify_command

    raise typer.Exit(verify_command(data_root))


def unpack(
    folder: Annotated[Path, typer.Argument(help="Folder of the official archives, or one archive.")],
    data_root: DataRoot = None,
) -> None:
    """Unpack downloaded official archives into the data root.

    Example: bench data unpack downloads
    """
    from bench.harness.commands.data import unpack_text

    print(unpack_text(folder, data_root))


def fetch(
    name: Annotated[str, typer.Argument(help="cifar100, mnist, or cifair (list of near-duplicates).")],
    data_root: DataRoot = None,
) -> None:
    """Download a data set from its official address.

    An interrupted download resumes.

    Example: bench data fetch cifar100
    """
    from bench.harness.commands.data import fetch_text

    print(fetch_text(name, data_root))
