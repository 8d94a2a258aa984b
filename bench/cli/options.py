"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.errors import UsageError

Paths = Annotated[list[Path], typer.Argument(help="Submission folders, e.g. submissions/*", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder that holds the records.")]
DataRoot = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation
    typer.Option(help="Where the data sets lie; default $BENCH_DATA, else a cache folder.", show_default=False),
]
TrackOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--track", help="Only this track: a name, or the file (*.yaml) of your own contest.", show_default=False
    ),
]
Profile = Annotated[str, typer.Option(help="official, quick, smoke or demo; only official runs rank.")]
Seeds = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="A count (5), a list (0,3,7) or a range (0-4); default: the profile's.", show_default=False),
]
Seed = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--seed", min=0, help="One seed, such as 0; what --seeds 0, names.", show_default=False),
]
Embedded = Annotated[bool, typer.Option("--embedded", help="Use the drawn stand-in data sets.")]
Jobs = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        min=1,
        help="Runs side by side; default: one per core, on a GPU as many as keep it busy.",
        show_default=False,
    ),
]
Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="CPU threads per run; default: the cores, shared out.", show_default=False),
]
LogFormat = Annotated[
    str,
    typer.Option(
        envvar="BENCH_LOG_FORMAT",
        help="auto (a live table on a terminal, lines elsewhere), lines, or json: one object per line.",
    ),
]
Retry = Annotated[str, typer.Option(help="Which earlier runs to repeat: none or failed.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Timeout = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Wall time of a run's phase, e.g. 90m; default: twenty times the estimate.", show_default=False
    ),
]
Memory = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Memory of a run, e.g. 4G; default: its share of nine tenths, on a GPU no limit.", show_default=False
    ),
]
Sandbox = Annotated[
    str, typer.Option(help="Walls around submissions' code: auto (the highest there are), bwrap or none.")
]
Precision = Annotated[
    str, typer.Option(help="Of training: fp32, tf32 (on a GPU), or bf16 by autocast. Claims are tested at fp32.")
]
Speeds = Annotated[
    str,
    typer.Option(
        help="How speeds are measured: alone, with nothing of this command beside them; beside other runs, which "
        "are then begun at once; or auto (alone for official runs on a CPU)."
    ),
]
Executor = Annotated[str, typer.Option(help="Where runs are carried out: local, or on a cluster by ray or slurm.")]
Address = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="HOST:PORT of the Ray cluster, or auto; default: this machine.", show_default=False),
]
GpusPerRun = Annotated[float, typer.Option(help="On Ray: of a run on GPUs; 0.25 puts four on one.")]
Compile = Annotated[
    str,
    typer.Option(
        "--compile",
        help="Training steps by torch.compile: auto (where it is faster, for long runs), on or off; or graph: "
        "on a GPU the whole step as one CUDA graph, where that gives the same bits faster.",
    ),
]


def seeds_of(seeds: str | None, seed: int | None) -> str | None:
    """What ``--seeds`` and ``--seed`` name together, as the former has it.

    Raises:
        UsageError: If both are given.
    """
    if seed is None:
        return seeds
    if seeds is not None:
        raise UsageError(f"--seed {seed} and --seeds {seeds}: give one of the two")
    return f"{seed},"
