"""Commands that read records and manifests: compare, papers."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.options import Paths, Results
from bench.errors import ExitCode


def compare(
    table: Annotated[str, typer.Option(help="markdown, github, latex, csv, html, json or simple.")] = "simple",
    track: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only this track.", show_default=False),
    ] = None,
    sort: Annotated[
        str, typer.Option(help="Column to sort by: score, params, macs, images_per_s, name.")
    ] = "score",
    results: Results = Path("results"),
) -> None:
    """Compare submissions, from their records alone.

    Example: bench compare --table markdown
    """
    from bench.report.compare import compare_command

    raise typer.Exit(compare_command(results, table=table, track=track, sort=sort))


def papers(
    paths: Paths,
    check: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Compare with this file instead; exit code 1 if it differs.", show_default=False),
    ] = None,
) -> None:
    """Print what each submission's paper claims, leaves open and gets wrong, as its submission.yaml says.

    Example: bench papers submissions/* > docs/papers.md
    """
    from bench.report.papers import papers_text, read_entries

    text = papers_text(read_entries(paths))
    if check is None:
        print(text, end="")
    elif not check.is_file() or check.read_text(encoding="utf-8") != text:
        print(
            f"bench: {check}: differs from the manifests; `bench papers submissions/* > {check}`", file=sys.stderr
        )
        raise typer.Exit(ExitCode.REGRESSION)
