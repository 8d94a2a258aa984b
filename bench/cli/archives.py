"""Commands that move runs between machines: pack, unpack."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Results


def pack(
    output: Annotated[Path, typer.Argument(help="Archive to write (.tar.gz).")] = Path("capbench-results.tar.gz"),
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Add weights, pictures and logs.")] = False,
    samples: Annotated[
        bool, typer.Option("--samples", help="Add samples without scores, for `bench score` on the other machine.")
    ] = False,
    results: Results = Path("results"),
) -> None:
    """Pack records and unfinished runs into an archive.

    Another machine can unpack it and resume the runs from their checkpoints.

    Example: bench pack results.tar.gz
    """
    from bench.harness.results.packing import pack as write

    packed = write(results, output, artifacts=artifacts, samples=samples)
    sampled = f", samples of {packed.sampled} runs" if samples else ""
    print(
        f"{output}: {packed.records} records, {packed.unfinished} unfinished runs{sampled}; on the other machine: "
        f"bench unpack {output.name} (--own if it is yours, so that the runs rank)"
    )


def unpack(
    archives: Annotated[list[Path], typer.Argument(help="Archives of `bench pack`.", show_default=False)],
    own: Annotated[
        bool,
        typer.Option("--own", help="These runs are yours, of another machine: they rank, and are not marked."),
    ] = False,
    results: Results = Path("results"),
) -> None:
    """Add the packed results of another machine.

    Records are checked, and existing ones are never overwritten. Without --own, they are marked as made elsewhere,
    and never rank.

    Example: bench unpack results.tar.gz
    """
    from bench.harness.results.unpacking import unpack_command

    raise typer.Exit(unpack_command(archives, results, own=own))
