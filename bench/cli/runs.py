"""Commands that train, check or score: run, ablate, verify, profile, score, score-real, verify-certificate."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import (
    DataRoot,
    Device,
    Embedded,
    LogFormat,
    OnePath,
    Paths,
    Precision,
    Profile,
    Results,
    Sandbox,
    TableFormat,
    Threads,
    TrackOption,
    folder_of_contest,
)
from bench.cli.run_options import Variants, with_run_options
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.harness.commands.run import RunSummary
    from bench.harness.config import RunConfig


@with_run_options()
def run(paths: Paths, config: "RunConfig") -> None:
    """Train and evaluate submissions over several seeds.

    Submissions are verified first. Finished runs are not repeated, and interrupted ones resume.

    Example: bench run submissions/* --profile quick
    """
    from bench.harness.commands.run import run_command

    summary = run_command(replace(config, paths=paths))
    if not config.dry_run and summary.names:
        _print_comparison(config.results, summary)
    raise typer.Exit(summary.exit_code)


def _print_comparison(results: Path, summary: "RunSummary") -> None:
    """Print a comparison of all records of the command's submissions, preferably those of the current code."""
    from bench.contract.manifest import REAL_IMAGES
    from bench.report.compare import comparison_text
    from bench.report.records.aggregate import summarize
    from bench.report.records.load import read_all, warn_unreadable

    records, problems = read_all(results)
    warn_unreadable(problems)
    names = summary.names | {REAL_IMAGES}
    selected = [
        record.known_as(of_current_code=record.identity.hash in summary.labels)
        for record in records
        if record.protocol.hash in summary.protocols and record.identity.submission in names
    ]
    if selected:
        print(comparison_text(summarize(selected), table_format="simple"))


@with_run_options(without=("dry_run", "force"))
def ablate(
    path: OnePath,
    config: "RunConfig",
    variants: Annotated[
        str, typer.Option(help="all, or names separated by commas; the base is always added.")
    ] = "all",
    table: TableFormat = "simple",
) -> None:
    """Compare a submission's variants with its base.

    All variants use the same seeds and the same data order.

    Example: bench ablate submissions/se_dsconv --profile quick
    """
    from bench.harness.commands.run import run_command
    from bench.report.claims.ablation import ablation_text
    from bench.report.records.aggregate import summarize
    from bench.report.records.load import read_all
    from bench.report.tables.text import check_format

    check_format(table)
    if path.is_dir() and not (path / "submission.yaml").exists():
        raise UsageError(f"{path}: no submission.yaml in it; give the folder of one submission")
    variants = config.variants if config.variants == "all" else f"base,{config.variants}"
    summary = run_command(replace(config, paths=[path], variants=variants))
    if summary.names:
        records = [record for record in read_all(config.results)[0] if record.identity.hash in summary.labels]
        print(ablation_text(summarize(records), summary.changes, table_format=table))
    raise typer.Exit(summary.exit_code)


def verify(
    paths: Paths,
    variants: Variants = "base",
    device: Device = "auto",
    track: TrackOption = None,
    sandbox: Sandbox = "auto",
    details: Annotated[
        bool | None,
        typer.Option(
            "--details/--short",
            help="Counts by module and all checks, or a line per submission; default: details of a single one.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the submissions' output and tracebacks.")] = False,
) -> None:
    """Check contract, caps and cost of submissions.

    It takes seconds, and needs no data and no training.

    Example: bench verify submissions/se_dsconv
    """
    from bench.harness.commands.verify import VerifyOptions, verify_command

    raise typer.Exit(verify_command(VerifyOptions(paths, variants, device, track, sandbox, debug, details)))


def profile(
    paths: Paths,
    variants: Variants = "base",
    device: Device = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads; default: all cores.", show_default=False),
    ] = None,
    precision: Precision = "fp32",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the training step.")] = False,
    track: TrackOption = None,
    sandbox: Sandbox = "auto",
    table: TableFormat = "simple",
    picture: Annotated[
        Path | None,
        typer.Option(help="Bar chart of all profiles: a .svg or .png file.", show_default=False),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Folder for one trace per submission, for Perfetto.", show_default=False),
    ] = None,
) -> None:
    """Profile the parts of a training step.

    The parts are data, augmentation, forward, loss, backward, optimizer and harness.

    Example: bench profile submissions/se_dsconv --picture step.svg
    """
    from bench.contract.jobs.timings import StepProfile
    from bench.errors import ExitCode
    from bench.harness.commands.profile import ProfileOptions, profile_steps
    from bench.report.profile import profile_text, write_picture
    from bench.report.tables.text import check_format

    check_format(table)
    unchecked: Any = precision  # the command checks it
    options = ProfileOptions(paths, variants, device, threads, unchecked, compiled, track, sandbox, trace)
    profiles: dict[str, StepProfile] = {}
    code = ExitCode.OK
    for label, result in profile_steps(options):
        if isinstance(result, StepProfile):
            profiles[label] = result
            print(profile_text(label, result, table), end="\n\n", flush=True)
        else:
            print(f"✗ {label}: {result}", file=sys.stderr)
            code = max(code, result.exit_code)
    if picture is not None and profiles:
        write_picture(picture, profiles)
        print(picture)
    raise typer.Exit(code)


def score_real(
    track: Annotated[
        Path | None,
        typer.Option(
            help="Generation track: its name, or the file (*.yaml) of a custom track; default: the first.",
            show_default=False,
        ),
    ] = None,
    profile: Profile = "official",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    results: Results = Path("results"),
    log_format: LogFormat = "auto",
) -> None:
    """Score real images as if they were samples.

    The images are training images, so this is the score of a perfect generator. `bench run` does it automatically
    for its profile.

    Example: bench score-real --profile quick
    """
    from bench.harness.commands.score_real import ScoreRealOptions, score_real_command

    raise typer.Exit(
        score_real_command(ScoreRealOptions(track, profile, device, data_root, embedded, results, log_format))
    )


def score(
    paths: Paths,
    device: Device = "auto",
    data_root: DataRoot = None,
    track: TrackOption = None,
    results: Results = Path("results"),
    threads: Threads = None,
    log_format: LogFormat = "auto",
) -> None:
    """Score samples that have no metrics yet.

    Such samples come from another machine, or from a run that could not score them. To move them here, use
    `bench pack --samples` on the other machine and `bench unpack` on this one.

    Example: bench score submissions/*
    """
    from bench.harness.commands.score import ScoreOptions, score_command

    raise typer.Exit(score_command(ScoreOptions(paths, device, data_root, track, results, threads, log_format)))


def verify_certificate(
    path: Annotated[Path, typer.Argument(help="Certificate of `bench certify`.", show_default=False)],
    submissions: Annotated[
        Path, typer.Option(help="Folder of the submissions.", callback=folder_of_contest)
    ] = Path("submissions"),
    device: Device = "auto",
    data_root: DataRoot = None,
    track: TrackOption = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Results folder of your own, to keep the repeated runs; default: a temporary folder.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(help="Number of seeds, the certified one included; if weights differ, their spread decides."),
    ] = 1,
    log_format: LogFormat = "auto",
) -> None:
    """Reproduce a certified run and compare.

    Exit code: 0 if the certificate holds, 1 if it does not, 3 if the run failed, 5 if it is undecided.

    Example: bench verify-certificate results/certificates/mine.json
    """
    from bench.harness.commands.verify_certificate import CertificateOptions, certificate_command

    options = CertificateOptions(path, submissions, device, data_root, track, results, seeds, log_format)
    raise typer.Exit(certificate_command(options))
