"""Commands to start with: new, init, schema, doctor, fetch."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import Device, TrackOption, folder_of_contest
from bench.errors import UsageError


def new(
    name: Annotated[str, typer.Argument(help="Name of the submission and of its folder.")],
    task: Annotated[
        str | None, typer.Option(help="classification or generation; default: the track's.", show_default=False)
    ] = None,
    track: TrackOption = None,
    submissions: Annotated[
        Path, typer.Option("--folder", help="Parent of the submission's folder.", callback=folder_of_contest)
    ] = Path("submissions"),
) -> None:
    """Create a submission from a template.

    The template passes `bench verify` unchanged; replace its model with your own.

    Example: bench new my_net --task classification
    """
    from bench.harness.submissions.scaffold import scaffold

    created = scaffold(name, task, submissions, track)
    print(f"wrote {created}; next: bench verify {created}")


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the contest.")] = Path(),
    name: Annotated[str, typer.Option(help="Name of its track.")] = "contest",
    title: Annotated[str, typer.Option(help="Title of the contest.")] = "A contest",
    data: Annotated[
        str, typer.Option(help="A data set: a name from `bench data list`, or your own .npz file.")
    ] = "cifar100",
    test_data: Annotated[
        Path | None,
        typer.Option(help="Your .npz file of the test split, if participants do not get it.", show_default=False),
    ] = None,
    task: Annotated[str, typer.Option(help="classification or generation.")] = "classification",
    params: Annotated[
        int | None, typer.Option(min=1, help="Cap on parameters; default: none.", show_default=False)
    ] = None,
    macs: Annotated[
        int | None,
        typer.Option(min=1, help="Cap on multiply-accumulates per image; default: none.", show_default=False),
    ] = None,
    rank_by: Annotated[
        str | None,
        typer.Option(
            help="Metric that ranks, e.g. macro_f1 or kid; default: top-1 accuracy, or FID.", show_default=False
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Budget of training steps.")] = 10_000,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of an official run.")] = 3,
    samples: Annotated[int, typer.Option(min=4, help="Samples of a generator that are scored.")] = 10_000,
) -> None:
    """Start a contest of your own.

    Writes capbench.yaml and the track's file, with the rules. Commands that are run in the folder then know this
    track and no other.

    Example: bench init my-contest --data fashion-mnist --params 50000 --steps 2000
    """
    from bench.harness.commands.init import InitOptions, init_command

    if task not in ("classification", "generation"):
        raise UsageError(f"--task {task!r}: give classification or generation")
    kind: Any = task
    options = InitOptions(folder, name, title, kind, data, test_data, params, macs, rank_by, steps, seeds, samples)
    for path in init_command(options):
        print(f"wrote {path}")
    print("next: bench new my_net; bench verify; bench run --profile smoke")


def schema(
    file: Annotated[str, typer.Argument(help="submission, track or contest.", show_default=False)],
) -> None:
    """Print the JSON Schema of a file, for editors.

    The files are submission.yaml, a track's file and capbench.yaml.

    Example: bench schema track > track.schema.json
    """
    import json

    from bench.contract.contest import ContestFile
    from bench.contract.documents.schema import Strict
    from bench.contract.manifest import Manifest
    from bench.contract.tracks import Track

    schemas: dict[str, type[Strict]] = {"submission": Manifest, "track": Track, "contest": ContestFile}
    if file not in schemas:
        raise UsageError(f"{file!r}: give {', '.join(schemas)}")
    print(json.dumps(schemas[file].model_json_schema(), indent=1))


def doctor(device: Device = "auto") -> None:
    """Print this machine's environment as JSON.

    Records store the environment in the same form.

    Example: bench doctor
    """
    import json

    from bench.harness.planning.devices import choose_device
    from bench.measure.machine.environment import capture_environment

    print(json.dumps(capture_environment(choose_device(device)), indent=1))


def fetch(
    weights: Annotated[str, typer.Argument(help="inception, lpips or all.")] = "all",
) -> None:
    """Download the weights for FID, KID and LPIPS (150 MB).

    They are stored in $BENCH_WEIGHTS, else in the user's cache folder.

    Example: bench fetch all
    """
    from bench.harness.commands.fetch import fetch_command

    raise typer.Exit(fetch_command(weights))
