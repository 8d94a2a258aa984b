"""Commands that run submissions' code: run, ablate, verify; and floor, which needs none."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli.options import (
    Address,
    Compile,
    DataRoot,
    Device,
    Embedded,
    Executor,
    GpusPerRun,
    Jobs,
    LogFormat,
    Memory,
    Paths,
    Precision,
    Profile,
    Results,
    Retry,
    Sandbox,
    Seed,
    Seeds,
    Speeds,
    Threads,
    Timeout,
    TrackOption,
    seeds_of,
)
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.run.command import Outcome


def run(
    paths: Paths,
    profile: Profile = "official",
    seeds: Seeds = None,
    seed: Seed = None,
    variants: Annotated[str, typer.Option(help="base, all, or names separated by commas.")] = "base",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    track: TrackOption = None,
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify and print the plan; train nothing.")] = False,
    jobs: Jobs = None,
    threads: Threads = None,
    retry: Retry = "none",
    force: Annotated[bool, typer.Option("--force", help="Repeat finished runs too.")] = False,
    timeout: Timeout = None,
    memory: Memory = None,
    sandbox: Sandbox = "auto",
    precision: Precision = "fp32",
    compile_: Compile = "auto",
    executor: Executor = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = 1.0,
    log_format: LogFormat = "auto",
    speeds: Speeds = "auto",
) -> None:
    """Verify submissions, then train and evaluate each over several seeds.

    Example: bench run submissions/* --profile quick
    """
    from bench.run.command import RunOptions, run_command

    options = RunOptions(
        paths=paths,
        profile=profile,
        seeds=seeds_of(seeds, seed),
        variants=variants,
        device=device,
        data_root=data_root,
        embedded=embedded,
        track_file=track,
        results=results,
        dry_run=dry_run,
        jobs=jobs,
        threads=threads,
        retry_failed=_retry_failed(retry),
        force=force,
        timeout=timeout,
        memory=memory,
        sandbox=sandbox,
        precision=precision,
        compile=compile_,
        executor=executor,
        address=address,
        gpus_per_run=gpus_per_run,
        log_format=log_format,
        speeds=speeds,
    )
    outcome = run_command(options)
    if not dry_run and outcome.names:
        _print_comparison(results, outcome)
    raise typer.Exit(outcome.exit_code)


def _print_comparison(results: Path, outcome: "Outcome") -> None:
    """All records of the submissions that were meant; of a changed one, those of the code that is there now."""
    from bench.contract.records import REAL_IMAGES
    from bench.report.compare import comparison_text
    from bench.report.reading import read_all, say_unreadable
    from bench.report.summary import summarize

    records, problems = read_all(results)
    say_unreadable(problems)
    names = outcome.names | {REAL_IMAGES}
    wanted = [
        record.known_as(of_present_code=record.identity.hash in outcome.identities)
        for record in records
        if record.protocol.hash in outcome.protocols and record.identity.submission in names
    ]
    if wanted:
        print(comparison_text(summarize(wanted), table="simple"))


def ablate(
    path: Annotated[Path, typer.Argument(help="One submission's folder.", show_default=False)],
    profile: Profile = "official",
    seeds: Seeds = None,
    seed: Seed = None,
    variants: Annotated[
        str, typer.Option(help="all, or names separated by commas; the base always runs.")
    ] = "all",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    track: TrackOption = None,
    results: Results = Path("results"),
    jobs: Jobs = None,
    threads: Threads = None,
    retry: Retry = "none",
    table: Annotated[str, typer.Option(help="markdown, github, latex, html, json or simple.")] = "simple",
    timeout: Timeout = None,
    memory: Memory = None,
    sandbox: Sandbox = "auto",
    precision: Precision = "fp32",
    compile_: Compile = "auto",
    executor: Executor = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = 1.0,
    log_format: LogFormat = "auto",
    speeds: Speeds = "auto",
) -> None:
    """Run a submission's variants on the seeds and data order of its base, and print what each change does.

    Example: bench ablate submissions/se_dsconv --profile quick
    """
    from bench.report.ablation import ablation_text
    from bench.report.reading import read_all
    from bench.report.summary import summarize
    from bench.report.tables import check_format
    from bench.run.command import RunOptions, run_command

    check_format(table)
    if path.is_dir() and not (path / "submission.yaml").exists():
        raise UsageError(f"{path}: no submission.yaml there; give the folder of one submission")
    options = RunOptions(
        paths=[path],
        profile=profile,
        seeds=seeds_of(seeds, seed),
        variants=variants if variants == "all" else f"base,{variants}",
        device=device,
        data_root=data_root,
        embedded=embedded,
        track_file=track,
        results=results,
        dry_run=False,
        jobs=jobs,
        threads=threads,
        retry_failed=_retry_failed(retry),
        force=False,
        timeout=timeout,
        memory=memory,
        sandbox=sandbox,
        precision=precision,
        compile=compile_,
        executor=executor,
        address=address,
        gpus_per_run=gpus_per_run,
        log_format=log_format,
        speeds=speeds,
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


def verify(
    paths: Paths,
    variants: Annotated[str, typer.Option(help="base, all, or names separated by commas.")] = "base",
    device: Device = "auto",
    track: TrackOption = None,
    sandbox: Sandbox = "auto",
    debug: Annotated[
        bool, typer.Option("--debug", help="Also show all that submissions print, and tracebacks.")
    ] = False,
) -> None:
    """Check contract, caps and cost of submissions in seconds, without data and without training.

    Example: bench verify submissions/se_dsconv
    """
    from bench.run.verify_command import verify_command

    raise typer.Exit(verify_command(paths, variants, device, track, sandbox, debug=debug))


def profile(
    paths: Paths,
    variants: Annotated[str, typer.Option(help="base, all, or names separated by commas.")] = "base",
    device: Device = "auto",
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="CPU threads; default: all cores.", show_default=False),
    ] = None,
    precision: Precision = "fp32",
    compiled: Annotated[bool, typer.Option("--compile", help="Profile the compiled step.")] = False,
    track: TrackOption = None,
    sandbox: Sandbox = "auto",
    table: Annotated[str, typer.Option(help="markdown, github, latex, html, json or simple.")] = "simple",
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Draw the parts of all steps as bars: a .svg or .png file.", show_default=False),
    ] = None,
    trace: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for a trace a submission, for Perfetto.", show_default=False),
    ] = None,
) -> None:
    """Show where the time of a training step goes: data, augmentation, network, optimizer, harness.

    Example: bench profile submissions/se_dsconv --picture step.svg
    """
    from bench.contract.profiles import StepProfile
    from bench.errors import ExitCode
    from bench.report.profile import profile_text, write_picture
    from bench.report.tables import check_format
    from bench.run.profile_command import ProfileOptions, profile_steps

    check_format(table)
    options = ProfileOptions(paths, variants, device, threads, precision, compiled, track, sandbox, trace)
    profiles: dict[str, StepProfile] = {}
    code = ExitCode.OK
    for label, found in profile_steps(options):
        if isinstance(found, StepProfile):
            profiles[label] = found
            print(profile_text(label, found, table), end="\n\n", flush=True)
        else:
            print(f"✗ {label}: {found}", file=sys.stderr)
            code = max(code, found.exit_code)
    if picture is not None and profiles:
        write_picture(picture, profiles)
        print(picture)
    raise typer.Exit(code)


def floor(
    track: Annotated[
        Path, typer.Option(help="A generation track: a name, or the file (*.yaml) of your own contest.")
    ] = Path("cifar100-generation"),
    profile: Profile = "official",
    device: Device = "auto",
    data_root: DataRoot = None,
    embedded: Embedded = False,
    results: Results = Path("results"),
    log_format: LogFormat = "auto",
) -> None:
    """Score real training images as if they were samples: what a perfect generator would get.

    `bench run` does this by itself for the profile that it runs.

    Example: bench floor --profile quick
    """
    from bench.run.floor_command import FloorOptions, floor_command

    raise typer.Exit(floor_command(FloorOptions(track, profile, device, data_root, embedded, results, log_format)))


def score(
    paths: Paths,
    device: Device = "auto",
    data_root: DataRoot = None,
    track: TrackOption = None,
    results: Results = Path("results"),
    threads: Threads = None,
    log_format: LogFormat = "auto",
) -> None:
    """Score samples that were drawn without time or weights to score them, or on another machine.

    There: bench pack --samples results.tar.gz. Here: bench unpack results.tar.gz, then:

    Example: bench score submissions/*
    """
    from bench.run.score_command import ScoreOptions, score_command

    raise typer.Exit(score_command(ScoreOptions(paths, device, data_root, track, results, threads, log_format)))


def verify_certificate(
    path: Annotated[Path, typer.Argument(help="What `bench certify` wrote.", show_default=False)],
    submissions: Annotated[Path, typer.Option(help="Folder that has the submission.")] = Path("submissions"),
    device: Device = "auto",
    data_root: DataRoot = None,
    track: TrackOption = None,
    results: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Keep the repeated runs in this results folder, one of your own; default: nowhere.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(help="Seeds to run, the certified one first; their spread decides where bits differ."),
    ] = 1,
    log_format: LogFormat = "auto",
) -> None:
    """Repeat the run that a certificate is of; exit code 0 if it holds, 1 if not, 5 if it cannot be told.

    Example: bench verify-certificate results/certificates/mine.json
    """
    from bench.run.certificate_command import CertificateOptions, certificate_command

    options = CertificateOptions(path, submissions, device, data_root, track, results, seeds, log_format)
    raise typer.Exit(certificate_command(options))
