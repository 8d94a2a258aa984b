"""The command ``bench``: each command parses its options, calls one function, and maps errors to exit codes.

Nothing here imports torch, and what a command needs is imported when it runs, so that ``bench --help`` is quick.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from bench import __version__
from bench.errors import BenchError, ExitCode, UsageError

app = typer.Typer(
    name="bench",
    help="Verify, train, evaluate and compare small image models under parameter and step caps.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(
    help="The data sets: what is here, whether it is intact, how to get it.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

Paths = Annotated[list[Path], typer.Argument(help="Submission folders, e.g. submissions/*", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder that holds the records.")]
DataRoot = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation
    typer.Option(help="Where the data sets lie; default $BENCH_DATA, else a cache folder.", show_default=False),
]
TrackFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--track", help="A track file of your own contest, beside those that ship.", show_default=False),
]
Profile = Annotated[str, typer.Option(help="official, quick or smoke; only official runs rank.")]
Seeds = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="A count (5), a list (0,3,7) or a range (0-4); default: the profile's.", show_default=False),
]
Embedded = Annotated[bool, typer.Option("--embedded", help="Use the drawn stand-in data sets.")]
Jobs = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="Runs side by side; default: one a core, one a GPU.", show_default=False),
]
Retry = Annotated[str, typer.Option(help="Which earlier runs to repeat: none or failed.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"capbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


@app.command()
def run(
    paths: Paths,
    profile: Profile = "official",
    seeds: Seeds = None,
    variants: Annotated[str, typer.Option(help="base, all, or names separated by commas.")] = "base",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    track: TrackFile = None,
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify and print the plan; train nothing.")] = False,
    jobs: Jobs = None,
    retry: Retry = "none",
    force: Annotated[bool, typer.Option("--force", help="Repeat finished runs too.")] = False,
) -> None:
    """Verify submissions, then train and evaluate each over several seeds.

    Example: bench run submissions/* --profile quick
    """
    from bench.run.command import RunOptions, run_command

    options = RunOptions(
        paths=paths,
        profile=profile,
        seeds=seeds,
        variants=variants,
        device=device,
        data_root=data_root,
        embedded=embedded,
        track_file=track,
        results=results,
        dry_run=dry_run,
        jobs=jobs,
        retry_failed=_retry_failed(retry),
        force=force,
    )
    outcome = run_command(options)
    if not dry_run and outcome.names:
        _print_comparison(results, outcome.protocols, outcome.names)
    raise typer.Exit(outcome.exit_code)


def _print_comparison(results: Path, protocols: set[str], names: set[str]) -> None:
    from bench.contract.records import REAL_IMAGES
    from bench.report.compare import comparison_text
    from bench.report.summary import read_all, summarize

    records, problems = read_all(results)
    for problem in problems:
        print(problem, file=sys.stderr)
    names = names | {REAL_IMAGES}
    wanted = [r for r in records if r.protocol.hash in protocols and r.identity.submission in names]
    print(comparison_text(summarize(wanted), table="simple"))


@app.command()
def ablate(
    path: Annotated[Path, typer.Argument(help="One submission's folder.", show_default=False)],
    profile: Profile = "official",
    seeds: Seeds = None,
    variants: Annotated[
        str, typer.Option(help="all, or names separated by commas; the base always runs.")
    ] = "all",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    track: TrackFile = None,
    results: Results = Path("results"),
    jobs: Jobs = None,
    retry: Retry = "none",
    table: Annotated[str, typer.Option(help="markdown, github, latex, html, json or simple.")] = "simple",
) -> None:
    """Run a submission's variants on the seeds and data order of its base, and print what each change does.

    Example: bench ablate submissions/se_dsconv --profile quick
    """
    from bench.report.ablation import ablation_text, check_format
    from bench.report.summary import read_all, summarize
    from bench.run.command import RunOptions, run_command

    check_format(table)
    if path.is_dir() and not (path / "submission.yaml").exists():
        raise UsageError(f"{path}: no submission.yaml there; give the folder of one submission")
    options = RunOptions(
        paths=[path],
        profile=profile,
        seeds=seeds,
        variants=variants if variants == "all" else f"base,{variants}",
        device=device,
        data_root=data_root,
        embedded=embedded,
        track_file=track,
        results=results,
        dry_run=False,
        jobs=jobs,
        retry_failed=_retry_failed(retry),
        force=False,
    )
    outcome = run_command(options)
    if outcome.names:
        records = [record for record in read_all(results)[0] if record.identity.hash in outcome.identities]
        print(ablation_text(summarize(records), outcome.changes, table=table))
    raise typer.Exit(outcome.exit_code)


def _retry_failed(retry: str) -> bool:
    if retry not in ("none", "failed"):
        raise UsageError(f"--retry {retry!r}: give none or failed")
    return retry == "failed"


@app.command()
def verify(
    paths: Paths,
    variants: Annotated[str, typer.Option(help="base, all, or names separated by commas.")] = "base",
    device: Device = "auto",
    track: TrackFile = None,
) -> None:
    """Check contract, caps and cost of submissions in seconds, without data and without training.

    Example: bench verify submissions/se_dsconv
    """
    from bench.run.verify_command import verify_command

    raise typer.Exit(verify_command(paths, variants, device, track))


@app.command()
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


@app.command()
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


@app.command()
def floor(
    track: Annotated[str, typer.Option(help="A generation track.")] = "cifar100-generation",
    profile: Profile = "official",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    results: Results = Path("results"),
) -> None:
    """Score real training images as if they were samples: what a perfect generator would get.

    `bench run` does this by itself for the profile that it runs.

    Example: bench floor --profile quick
    """
    from bench.run.floor_command import floor_command

    raise typer.Exit(floor_command(track, profile, device, data_root, embedded, results))


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="inception, lpips or all.")] = "all",
) -> None:
    """Get the weights that FID, KID and LPIPS need (150 MB) into $BENCH_WEIGHTS or this user's cache.

    Example: bench fetch all
    """
    from bench.run.fetch_command import fetch_command

    raise typer.Exit(fetch_command(what))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the submission; its folder is created.")],
    task: Annotated[str, typer.Option(help="classification or generation.")] = "classification",
    folder: Annotated[Path, typer.Option(help="Where the submission's folder goes.")] = Path("submissions"),
) -> None:
    """Write a submission that verifies as it stands, to be changed into your own.

    Example: bench new my_net --task classification
    """
    from bench.run.scaffold import scaffold

    created = scaffold(name, task, folder)
    print(f"wrote {created}; next: bench verify {created}")


@app.command()
def doctor(device: Device = "auto") -> None:
    """Print this machine's environment as a record would hold it."""
    import json

    from bench.measure.environment import capture_environment
    from bench.run.devices import choose_device

    print(json.dumps(capture_environment(choose_device(device)), indent=1, ensure_ascii=False))


@data_app.command("list")
def data_list(data_root: DataRoot = None) -> None:
    """What is present, where it is looked for, and how to get the rest."""
    from bench.run.data_command import list_text

    print(list_text(data_root))


@data_app.command("verify")
def data_verify(data_root: DataRoot = None) -> None:
    """Check the files against their published checksums, and report duplicates and train-test overlaps."""
    from bench.run.data_command import verify_command as verify_data

    raise typer.Exit(verify_data(data_root))


@data_app.command("unpack")
def data_unpack(
    folder: Annotated[Path, typer.Argument(help="A folder that holds the official archives, or one archive.")],
    data_root: DataRoot = None,
) -> None:
    """Unpack official archives that you downloaded into the data root."""
    from bench.run.data_command import unpack_text

    print(unpack_text(folder, data_root))


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="cifar100 or mnist.")], data_root: DataRoot = None
) -> None:
    """Download a data set from its official address, resuming what was begun."""
    from bench.run.data_command import fetch_text

    print(fetch_text(name, data_root))


def main() -> None:
    """Run the command; a user's mistake ends in one line and its exit code, never in a traceback."""
    try:
        code = app(standalone_mode=False)
        status = int(code) if isinstance(code, int) else int(ExitCode.OK)
    except (KeyboardInterrupt, typer.Abort):
        status = int(ExitCode.INTERRUPTED)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        status = int(error.exit_code)
    except BrokenPipeError:
        # The reader went away, as in `bench compare | head`; nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = int(ExitCode.OK)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        status = int(ExitCode.USAGE)
    if status == ExitCode.INTERRUPTED:  # raised or, by some versions of typer, returned
        print("interrupted; checkpoints are kept, repeat the command to go on", file=sys.stderr)
    sys.exit(status)
