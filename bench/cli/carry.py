"""Commands that carry runs from one machine to another: pack, unpack."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Results


def pack(
    output: Annotated[Path, typer.Argument(help="The .tar.gz to write.")] = Path("capbench-results.tar.gz"),
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Also weights, pictures and logs.")] = False,
    results: Results = Path("results"),
) -> None:
    """Pack all records, and the checkpoints of unfinished runs, to go on with them on another machine.

    Example: bench pack results.tar.gz
    """
    from bench.run.carry import pack as write

    records, unfinished = write(results, output, artifacts=artifacts)
    print(f"{output}: {records} records, {unfinished} unfinished runs; there: bench unpack {output.name}")


def unpack(
    archives: Annotated[list[Path], typer.Argument(help="What `bench pack` wrote.", show_default=False)],
    results: Results = Path("results"),
) -> None:
    """Add what another machine packed; records are checked, and none that is here is overwritten.

    Example: bench unpack results.tar.gz
    """
    from bench.run.carry import unpack_command

    raise typer.Exit(unpack_command(archives, results))
