"""Commands that read records and manifests."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Device, Paths, Profile, Results, Submissions, TrackOption
from bench.errors import ExitCode, UsageError
from bench.text import harmless

CheckFile = Annotated[
    Path | None,
    typer.Option(
        "--check", help="File to compare with instead of printing; exit code 1 if it differs.", show_default=False
    ),
]


def compare(
    table: Annotated[str, typer.Option(help="markdown, github, latex, csv, html, json or simple.")] = "simple",
    track: TrackOption = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns, separated by commas; also metrics (nll) and record fields (config.batch_size).",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[str, typer.Option(help="Column to sort by, best first; prefix `-` to reverse.")] = "score",
    against: Annotated[
        str | None,
        typer.Option(
            help="Baseline: `paper`, a submission (paired by test image), a results folder, or a git revision.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Add the interval of accuracy over seeds and test images.")
    ] = False,
    without: Annotated[
        str | None,
        typer.Option(
            help="Add accuracy without some test images: cifair (near-duplicates), or those of a file of indices.",
            show_default=False,
        ),
    ] = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Compare submissions in a table.

    Figures come from records, and claims from submission.yaml; nothing is measured.

    Example: bench compare --table markdown
    """
    from bench.contract.tracks import track_name
    from bench.report.compare import CompareOptions, compare_command

    options = CompareOptions(table, track_name(track), sort, columns, against, images, without)
    raise typer.Exit(compare_command(results, submissions, options))


def verdict(
    table: Annotated[str, typer.Option(help="markdown, github, latex, html, json or simple.")] = "simple",
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if a claim is not reproduced.")] = False,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Check each paper claim against official records.

    Example: bench verdict --strict
    """
    from bench.report.claims.verdict_command import verdict_command

    raise typer.Exit(verdict_command(results, submissions, table_format=table, strict=strict))


def check(
    baseline: Annotated[
        str, typer.Option(help="Results folder, git revision, or pytest-benchmark file (*.json).")
    ],
    fail_on: Annotated[
        str, typer.Option(help="Largest allowed change per metric: pp is percentage points, % is relative.")
    ] = "accuracy:-1pp,fid:+5%,throughput:-10%,params:0",
    measure: Annotated[
        list[Path] | None,
        typer.Option(
            help="Submission to measure at the revision and in the working tree, alternating. May be repeated.",
            show_default=False,
        ),
    ] = None,
    benchmarks: Annotated[
        Path | None,
        typer.Option(
            help="pytest-benchmark file of the current code; default: the newest of `make bench-speed`.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[str, typer.Option(help="simple, markdown, json or junit.")] = "simple",
    device: Device = "auto",
    track: TrackOption = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Check for regressions against a baseline.

    Exit code: 1 after a regression, 5 if something could not be judged.

    Example: bench check --baseline main --fail-on accuracy:-1pp,params:0
    """
    from bench.contract.tracks import track_name
    from bench.report.regression.check import GateScope, check_command

    measured = []
    if measure:
        from bench.harness.commands.measure_speeds import measure_speeds
        from bench.harness.planning.devices import choose_device

        measured = measure_speeds(measure, baseline, choose_device(device), threads=1, track=track)
    code = check_command(
        results,
        baseline,
        fail_on,
        benchmarks=benchmarks,
        measured=measured,
        scope=GateScope(submissions, track_name(track)),
        table=table,
    )
    raise typer.Exit(code)


def status(
    track: TrackOption = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """List runs and the commands that resume them.

    Example: bench status
    """
    from bench.report.status import StatusOptions, status_command

    raise typer.Exit(status_command(StatusOptions(results, submissions, track)))


def show(
    run: Annotated[str, typer.Argument(help="Path of a record, or a unique part of it: a name, a hash.")],
    track: TrackOption = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Print one run's record.

    Example: bench show dcgan_000/base/seed0
    """
    from bench.report.show import show_text
    from bench.report.status import StatusOptions

    print(show_text(StatusOptions(results, submissions, track), run))


def export(
    destination: Annotated[
        str,
        typer.Argument(
            help="Folder (tensorboard), project (wandb, trackio) or tracking URI (mlflow).", show_default=False
        ),
    ],
    to: Annotated[str, typer.Option(help="tensorboard, trackio, wandb or mlflow.")] = "tensorboard",
    track: TrackOption = None,
    results: Results = Path("results"),
) -> None:
    """Export runs with curves to an experiment tracker.

    Each tracker is written to through its own library. Runs that were exported before are skipped.

    Example: bench export --to tensorboard runs
    """
    from bench.contract.tracks import track_name
    from bench.report.export.command import export_command

    raise typer.Exit(export_command(to, destination, results, track=track_name(track)))


def papers(paths: Paths, track: TrackOption = None, check: CheckFile = None) -> None:
    """Print each paper's claims, gaps and errors.

    They come from the submissions' submission.yaml.

    Example: bench papers submissions/* > docs/papers.md
    """
    from bench.report.claims.papers import papers_text, read_entries

    _print_or_check(papers_text(read_entries(paths, track)), check, "papers")


def reproduction(
    paths: Paths,
    track: TrackOption = None,
    short: Annotated[bool, typer.Option("--short", help="One line per submission.")] = False,
    check: CheckFile = None,
    results: Results = Path("results"),
) -> None:
    """Print each paper claim, its verdict and its cost.

    Verdicts and costs come from the records.

    Example: bench reproduction submissions/* > docs/reproduction.md
    """
    from bench.report.claims.overview import overview_text
    from bench.report.claims.papers import read_entries
    from bench.report.claims.reproduction import reproduction_text
    from bench.report.claims.tuning_runs import read_tried
    from bench.report.records.aggregate import summarize
    from bench.report.records.current_code import CurrentCode
    from bench.report.records.load import read_all, warn_unreadable

    entries = read_entries(paths, track)
    records, problems = read_all(results)
    records = CurrentCode({path.name: path for path in paths}).mark(records)
    tried, unreadable = read_tried(results)
    warn_unreadable([*problems, *unreadable])
    rows = summarize(records)
    text = overview_text(entries, rows) if short else reproduction_text(entries, rows, tried)
    _print_or_check(text, check, "reproduction")


def rules(track: TrackOption = None, check: CheckFile = None) -> None:
    """Print the rules of a track for participants.

    They are generated from the track's file, and from `rules` in capbench.yaml.

    Example: bench rules --track cifar100-classification > RULES.md
    """
    from bench.contract.contest import find_contest
    from bench.contract.tracks import choose_tracks
    from bench.data.store import describe
    from bench.report.rules import rules_text

    chosen = choose_tracks(track)
    if chosen.only is None and len(chosen.tracks) > 1:
        raise UsageError(f"give --track: {', '.join(chosen.tracks)}")
    selected = chosen.tracks[chosen.only or next(iter(chosen.tracks))]
    _print_or_check(rules_text(selected, describe(selected.data), find_contest()), check, "rules", "")


def _print_or_check(text: str, file: Path | None, command: str, arguments: str = " submissions/*") -> None:
    """Print a document, or exit with code 1 if ``file`` differs from it."""
    text = harmless(text)  # printing escapes it too
    if file is None:
        print(text, end="")
    elif not file.is_file() or file.read_bytes() != text.encode():
        state = "is out of date" if file.is_file() else "does not exist"
        print(f"bench: {file}: {state}; run `bench {command}{arguments} > {file}`", file=sys.stderr)
        raise typer.Exit(ExitCode.REGRESSION)


def plot(
    kind: Annotated[str, typer.Argument(help="curves, pareto, ablation or samples.", show_default=False)],
    submissions: Annotated[
        list[str] | None,
        typer.Argument(help="Names of submissions, or net/variant; default: all.", show_default=False),
    ] = None,
    track: TrackOption = None,
    profile: Profile = "official",
    values: Annotated[str, typer.Option(help="Curves to draw, e.g. loss,accuracy.")] = "",
    cost: Annotated[str, typer.Option(help="Cost axis of pareto: params, macs or training.")] = "params",
    output: Annotated[Path, typer.Option(help="Folder for the plots (SVG and PNG).")] = Path("plots"),
    results: Results = Path("results"),
) -> None:
    """Plot curves, Pareto fronts, ablations or samples.

    Example: bench plot curves se_dsconv
    """
    from bench.contract.tracks import track_name
    from bench.report.plots.command import Selection, plot_command

    names = [name.strip() for name in values.split(",") if name.strip()]
    selection = Selection(submissions or [], track_name(track), profile, names, cost)
    raise typer.Exit(plot_command(kind, results, output, selection))


def leaderboard(
    results: Results = Path("results"),
    submissions: Submissions = Path("submissions"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if the files are out of date.")
    ] = False,
    site: Annotated[bool, typer.Option(help="Write static pages to site/.")] = True,
) -> None:
    """Write the ranking of official runs.

    Files: LEADERBOARD.md, leaderboard.json and a site of static pages, in the results folder.

    Example: bench leaderboard
    """
    from bench.report.leaderboard import leaderboard_command

    raise typer.Exit(leaderboard_command(results, submissions, check=check, site=site))


def certify(
    run: Annotated[str, typer.Argument(help="Path of a record, or a unique part of it: a name, a hash.")],
    output: Annotated[
        Path | None,
        typer.Option(help="File to write; default: results/certificates/.", show_default=False),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Export what is needed to reproduce a run.

    The certificate also holds the results to expect; `bench verify-certificate` compares with them.

    Example: bench certify se_dsconv/base/seed0
    """
    from bench.report.certificate import certify as write

    print(write(results, run, output))
