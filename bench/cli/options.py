"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from bench.errors import UsageError


def _paths_of_contest() -> list[Path]:
    """Return the contest's folder of submissions.

    Raises:
        UsageError: Outside of a contest's repository.
    """
    from bench.contract.contest import find_contest

    contest = find_contest()
    if contest is None:
        raise UsageError("give submission folders, such as submissions/*")
    return [contest.submissions]


def folder_of_contest(context: typer.Context, parameter: typer.CallbackParam, value: Path) -> Path:
    """Return the contest's folder in place of a default: of the records, or of the submissions."""
    from bench.contract.contest import results_folder, submissions_folder

    source = context.get_parameter_source(parameter.name or "")
    if source is None or source.name != "DEFAULT":
        return value
    return results_folder() if parameter.name == "results" else submissions_folder()


Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Submission folders, e.g. submissions/*; default: those of the contest.",
        show_default=False,
        default_factory=_paths_of_contest,
    ),
]
OnePath = Annotated[Path, typer.Argument(help="Folder of one submission.", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder of the records.", callback=folder_of_contest)]
Submissions = Annotated[
    Path,
    typer.Option(
        help="Folder of the submissions; their submission.yaml has the claims.", callback=folder_of_contest
    ),
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
