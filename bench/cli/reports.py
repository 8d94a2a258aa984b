"""Commands that read records and manifests."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.options import Device, Paths, Profile, Results, TrackOption
from bench.errors import ExitCode
from bench.text import harmless

CheckFile = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation
    typer.Option("--check", help="Compare with this file instead; exit code 1 if it differs.", show_default=False),
]

Submissions = Annotated[
    Path,
    typer.Option(help="Folder of the submissions, whose manifests have what papers claim and the audit notes."),
]


def compare(
    table: Annotated[str, typer.Option(help="markdown, github, latex, csv, html, json or simple.")] = "simple",
    track: TrackOption = None,
    columns: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Columns, separated by commas; also any metric (nll) or field of a record (config.batch_size).",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[str, typer.Option(help="Column to sort by, the best first; -score turns it round.")] = "score",
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Set beside: `paper`, a submission (image by image), a results folder, or a git revision.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Also the interval of an accuracy over seeds and test images.")
    ] = False,
    without: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Also accuracy without some test images: cifair (near-duplicates), or a file of their numbers.",
            show_default=False,
        ),
    ] = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Compare submissions, from their records alone.

    Example: bench compare --table markdown
    """
    from bench.contract.tracks import track_name
    from bench.report.compare import Wanted, compare_command

    wanted = Wanted(table, track_name(track), sort, columns, against, images, without)
    raise typer.Exit(compare_command(results, submissions, wanted))


def verdict(
    table: Annotated[str, typer.Option(help="markdown, github, latex, html, json or simple.")] = "simple",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a claim is not reproduced.")] = False,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Say of every claim of a paper whether the official records reproduce it.

    Example: bench verdict --strict
    """
    from bench.report.verdict_command import verdict_command

    raise typer.Exit(verdict_command(results, submissions, table=table, strict=strict))


def check(
    baseline: Annotated[
        str, typer.Option(help="A results folder, a git revision, or a file of pytest-benchmark (*.json).")
    ],
    fail_on: Annotated[
        str, typer.Option(help="How much worse is too much, by figure: pp are points, % a share.")
    ] = "accuracy:-1pp,fid:+5%,throughput:-10%,params:0",
    measure: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="Also measure this submission's speed, at the revision and now, by turns. May be repeated.",
            show_default=False,
        ),
    ] = None,
    benchmarks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="What pytest-benchmark measured now; default: the newest that make bench-speed left.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    track: TrackOption = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Say whether anything is worse than it was; exit code 1 if so, 5 if something could not be judged.

    Example: bench check --baseline main --fail-on accuracy:-1pp,params:0
    """
    from bench.contract.tracks import track_name
    from bench.report.check import Judged, check_command

    measured = []
    if measure:
        from bench.run.devices import choose_device
        from bench.run.speeds import measure_speeds

        measured = measure_speeds(measure, baseline, choose_device(device), threads=1, track=track)
    code = check_command(
        results,
        baseline,
        fail_on,
        benchmarks=benchmarks,
        measured=measured,
        judged=Judged(submissions, track_name(track)),
    )
    raise typer.Exit(code)


def status(
    track: TrackOption = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Say which runs are done, running, interrupted or failed, and the command that goes on from there.

    Example: bench status
    """
    from bench.report.status import Looking, status_command

    raise typer.Exit(status_command(Looking(results, submissions, track)))


def show(
    run: Annotated[
        str, typer.Argument(help="A record's path, or a part of one that no other has: a name, a hash.")
    ],
    track: TrackOption = None,
    submissions: Submissions = Path("submissions"),
    results: Results = Path("results"),
) -> None:
    """Print one run's record for a person to read.

    Example: bench show dcgan_000/base/seed0
    """
    from bench.report.status import Looking, show_text

    print(show_text(Looking(results, submissions, track), run))


def papers(paths: Paths, track: TrackOption = None, check: CheckFile = None) -> None:
    """Print what each submission's paper claims, leaves open and gets wrong, as its submission.yaml says.

    Example: bench papers submissions/* > docs/papers.md
    """
    from bench.report.papers import papers_text, read_entries

    _print_or_check(papers_text(read_entries(paths, track)), check, "papers")


def reproduction(
    paths: Paths, track: TrackOption = None, check: CheckFile = None, results: Results = Path("results")
) -> None:
    """Print every claim of the papers, what the official records say of it, and what the runs cost.

    Example: bench reproduction submissions/* > docs/reproduction.md
    """
    from bench.report.papers import read_entries
    from bench.report.present import PresentCode
    from bench.report.reading import read_all, say_unreadable
    from bench.report.reproduction import reproduction_text
    from bench.report.summary import summarize
    from bench.report.tried import read_tried

    entries = read_entries(paths, track)
    records, problems = read_all(results)
    records = PresentCode({path.name: path for path in paths}).mark(records)
    tried, unreadable = read_tried(results)
    say_unreadable([*problems, *unreadable])
    text = reproduction_text(entries, summarize(records), tried)
    _print_or_check(text, check, "reproduction")


def _print_or_check(text: str, file: Path | None, command: str) -> None:
    """Print a document, or fail if ``file`` is not it."""
    text = harmless(text)  # as it is printed
    if file is None:
        print(text, end="")
    elif not file.is_file() or file.read_bytes() != text.encode():
        print(f"bench: {file}: is not current; `bench {command} submissions/* > {file}`", file=sys.stderr)
        raise typer.Exit(ExitCode.REGRESSION)


def plot(
    kind: Annotated[str, typer.Argument(help="curves, pareto, ablation or samples.", show_default=False)],
    submissions: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Which, by name; a variant as net/variant. Default: all.", show_default=False),
    ] = None,
    track: TrackOption = None,
    profile: Profile = "official",
    values: Annotated[str, typer.Option(help="Curves to draw, e.g. loss,accuracy.")] = "",
    price: Annotated[
        str, typer.Option(help="What pareto sets the score against: params, macs or training.")
    ] = "params",
    output: Annotated[Path, typer.Option(help="Folder for the pictures, SVG and PNG.")] = Path("plots"),
    results: Results = Path("results"),
) -> None:
    """Draw training curves, scores against their price, an ablation, or samples.

    Example: bench plot curves se_dsconv
    """
    from bench.contract.tracks import track_name
    from bench.report.plot import Selection, plot_command

    names = [name.strip() for name in values.split(",") if name.strip()]
    selection = Selection(submissions or [], track_name(track), profile, names, price)
    raise typer.Exit(plot_command(kind, results, output, selection))


def leaderboard(
    results: Results = Path("results"),
    submissions: Submissions = Path("submissions"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if what is written is not current.")
    ] = False,
    site: Annotated[bool, typer.Option(help="Also make the pages, in site/.")] = True,
) -> None:
    """Write the ranking of official runs: LEADERBOARD.md, leaderboard.json and a site of static pages.

    Example: bench leaderboard
    """
    from bench.report.leaderboard import leaderboard_command

    raise typer.Exit(leaderboard_command(results, submissions, check=check, site=site))


def certify(
    run: Annotated[
        str, typer.Argument(help="A record's path, or a part of one that no other has: a name, a hash.")
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File to write; default: results/certificates/.", show_default=False),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Write what another person needs to repeat a run, and what they should then find.

    Example: bench certify se_dsconv/base/seed0
    """
    from bench.report.certify import certify as write

    print(write(results, run, output))
