"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[list[Path], typer.Argument(help="Submission folders, e.g. submissions/*", show_default=False)]
OnePath = Annotated[Path, typer.Argument(help="Folder of one submission.", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder of the records.")]
Submissions = Annotated[
    Path, typer.Option(help="Folder of the submissions; their submission.yaml has the claims.")
]
DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of the data sets; default: $BENCH_DATA, else a cache folder.", show_default=False),
]
TrackOption = Annotated[
    Path | None,
    typer.Option(
        "--track", help="Only this track: its name, or the file (*.yaml) of a custom track.", show_default=False
    ),
]
Profile = Annotated[
    str, typer.Option(help="official, quick, tuning, smoke or demo; only official runs are ranked.")
]
Embedded = Annotated[bool, typer.Option("--embedded", help="Synthetic stand-in data sets (drawn shapes).")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads per run; default: an equal share of the cores.", show_default=False),
]
LogFormat = Annotated[
    str,
    typer.Option(
        envvar="BENCH_LOG_FORMAT",
        help="auto (live table on a terminal, else lines), lines, json (one object per line), quiet.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Sandbox = Annotated[
    str, typer.Option(help="Sandbox for submissions: auto (the strongest available), bwrap or none.")
]
Precision = Annotated[
    str, typer.Option(help="Training precision: fp32, tf32 (GPU), or bf16 (autocast). Claims are tested at fp32.")
]
TableFormat = Annotated[str, typer.Option("--table", help="markdown, github, latex, html, json or simple.")]
