"""The commands under ``bench data``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DataRoot, TrackOption


def list_(data_root: DataRoot = None) -> None:
    """List the data sets and how to get missing ones.

    Example: bench data list
    """
    from bench.harness.commands.data import list_text

    print(list_text(data_root))


def verify(track: TrackOption = None, data_root: DataRoot = None) -> None:
    """Check data files: shapes, labels, checksums, duplicates.

    Duplicates are counted within each split, and between the training and the test split.

    Example: bench data verify
    """
    from bench.harness.commands.data import verify_command

    raise typer.Exit(verify_command(data_root, track))


def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="torchvision:SVHN, medmnist:PathMNIST, huggingface:USER/NAME, folder:PATH (train/CLASS/*.png), "
            "arrays:PATH (train_x.npy), idx:PATH (MNIST files).",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Argument(help="The .npz file to write.", show_default=False)],
    test_output: Annotated[
        Path | None,
        typer.Option(
            help="Write the test split to this .npz file, which participants do not get.", show_default=False
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=8, max=128, help="Scale and crop pictures to SIZE×SIZE pixels.", show_default=False),
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Convert a data set into one .npz file.

    Prints the description of the data for a track's file.

    Example: bench data import torchvision:SVHN svhn.npz
    """
    from bench.harness.commands.data import import_text

    print(import_text(source, output, test_output, size, data_root))


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
    name: Annotated[
        str, typer.Argument(help="A name from `bench data list`, or cifair (list of near-duplicates).")
    ],
    data_root: DataRoot = None,
) -> None:
    """Download a data set from its official address.

    An interrupted download resumes.

    Example: bench data fetch cifar100
    """
    from bench.harness.commands.data import fetch_text

    print(fetch_text(name, data_root))
