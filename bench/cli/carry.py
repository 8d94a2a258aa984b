"""Commands that carry runs from one machine to another: pack, unpack."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Results


def pack(
    output: Annotated[Path, typer.Argument(help="The .tar.gz to write.")] = Path("capbench-results.tar.gz"),
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Also weights, pictures and logs.")] = False,
    samples: Annotated[
        bool, typer.Option("--samples", help="Also samples that are not scored yet, for `bench score` there.")
    ] = False,
    results: Results = Path("results"),
) -> None:
    """Pack all records, and the checkpoints of unfinished runs, to go on with them on another machine.

    Example: bench pack results.tar.gz
    """
    from bench.run.carry import pack as write

    packed = write(results, output, artifacts=artifacts, samples=samples)
    sampled = f", samples of {packed.sampled} runs" if samples else ""
    print(
        f"{output}: {packed.records} records, {packed.unfinished} unfinished runs{sampled}; there: bench unpack "
        f"{output.name}"
    )


def unpack(
    archives: Annotated[list[Path], typer.Argument(help="What `bench pack` wrote.", show_default=False)],
    results: Results = Path("results"),
) -> None:
    """Add what another machine packed; records are checked, and none that is here is overwritten.

    Example: bench unpack results.tar.gz
    """
    from bench.run.unpacking import unpack_command

    raise typer.Exit(unpack_command(archives, results))
