"""The command that scores weights which participants hand in: score-weights."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import (
    DataRoot,
    Device,
    Embedded,
    Paths,
    Precision,
    Sandbox,
    TableFormat,
    Threads,
    TrackOption,
)


def score_weights(
    paths: Paths,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A weights file (of one submission), or a folder with NAME.safetensors, NAME.pt or NAME.pth per "
            "submission; default: weights.safetensors or weights.pt in the submission's folder.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(help="Whose images are evaluated: official for test images, quick for validation images."),
    ] = "official",
    seed: Annotated[int, typer.Option(min=0, help="Seed of a generator's samples.")] = 0,
    track: TrackOption = None,
    embedded: Embedded = False,
    data_root: DataRoot = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    sandbox: Sandbox = "auto",
    table: TableFormat = "simple",
) -> None:
    """Score handed-in weights, without training: faster than a run, and weaker.

    Contract and caps are verified; training budget, seeds and data are not. The scores are printed, they are in no
    record, and they never rank.

    Example: bench score-weights submissions/my_net --weights my_net.safetensors
    """
    from bench.contract.handed_in import HandedInScore
    from bench.errors import ExitCode
    from bench.harness.commands.score_weights import ScoreWeightsOptions
    from bench.harness.commands.score_weights import score_weights as score_all
    from bench.report.handed_in import scores_text
    from bench.report.tables.text import check_format

    check_format(table)
    unchecked: Any = precision  # the command checks it
    options = ScoreWeightsOptions(
        paths, weights, profile, seed, track, device, unchecked, threads, embedded, data_root, sandbox
    )
    outcomes = score_all(options, lambda line: print(line, file=sys.stderr, flush=True))
    scores = [outcome for outcome in outcomes.values() if isinstance(outcome, HandedInScore)]
    if scores or table == "json":
        print(scores_text(scores, table))
    code = ExitCode.OK
    for name, outcome in outcomes.items():
        if not isinstance(outcome, HandedInScore):
            print(f"✗ {name}: {outcome}", file=sys.stderr)
            code = max(code, outcome.exit_code)
    raise typer.Exit(code)
