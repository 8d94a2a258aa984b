"""What ``bench run`` does, from options to exit code."""

import importlib.util
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bench.contract.jobs import Compile, Precision
from bench.contract.tracks import choose_tracks
from bench.data.store import data_root
from bench.errors import BenchError, ExitCode, UsageError
from bench.run.devices import choose_device, choose_jobs
from bench.run.discovery import Found, submissions_of
from bench.run.executors.cluster import Cluster
from bench.run.executors.limits import parse_duration, parse_memory
from bench.run.executors.sandbox import OPEN, choose_walls
from bench.run.floors import add_floors
from bench.run.plan import Plan, State, make_plan
from bench.run.progress.choose import choose_display
from bench.run.runner import Runner, check_writable
from bench.run.settings import Settings, Speeds

Where = Literal["local", "ray", "slurm"]
ON_GPUS = {  # what a CPU does not have -> what to say of it
    "tf32": "is of NVIDIA GPUs, and this runs on the CPU; give fp32 or bf16",
    "graph": "CUDA graphs are of NVIDIA GPUs, and this runs on the CPU; give auto",
}
EXTRAS = {"ray": "ray", "slurm": "submitit"}  # executor, which is an extra's name too -> its package


@dataclass(frozen=True)
class RunOptions:
    """The command line of ``bench run``."""

    paths: list[Path]
    profile: str
    seeds: str | None
    variants: str
    device: str
    data_root: Path | None
    embedded: bool
    track_file: Path | None
    results: Path
    dry_run: bool
    jobs: int | None
    retry_failed: bool
    force: bool
    threads: int | None = None  # of each run; None to share the cores out
    timeout: str | None = None
    memory: str | None = None
    sandbox: str = "auto"
    precision: str = "fp32"
    compile: str = "auto"
    executor: str = "local"
    address: str | None = None  # of a Ray cluster
    gpus_per_run: float = 1.0  # on one
    log_format: str = "auto"  # of what is shown while it works
    speeds: str = "auto"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and which records it was about."""

    exit_code: ExitCode
    protocols: set[str]
    names: set[str]
    identities: set[str]  # hashes of the runs that it meant
    changes: dict[str, str]  # variant -> what it changes, in words


def run_command(options: RunOptions) -> Outcome:
    """Plan, verify everything, run what is to do.

    Returns:
        The outcome; its exit code is the gravest of what happened to single submissions.

    Raises:
        BenchError: For what stops the whole command before anything runs.
        KeyboardInterrupt: After Ctrl-C; checkpoints are kept.
    """
    notices: list[str] = []
    found, broken = submissions_of(options.paths, options.track_file, notices.append)
    cluster = choose_executor(options, [submission.folder for submission in found])
    try:
        return _run(options, found, broken, cluster, notices)
    finally:
        if cluster is not None:
            cluster.close()


def choose_executor(options: RunOptions, submissions: Sequence[Path]) -> Cluster | None:
    """The cluster that ``--executor`` names; None for this machine.

    Raises:
        UsageError: If there is none, or what speaks to it is not installed.
    """
    where = one_of(Where, options.executor, "--executor")
    if options.address is not None and where != "ray":
        raise UsageError("--address is of a Ray cluster; add --executor ray")
    if where == "local":
        return None
    if importlib.util.find_spec(EXTRAS[where]) is None:
        raise UsageError(
            f"--executor {where}: {EXTRAS[where]} is not installed; `pip install 'capbench[{where}]'`"
        )
    if where == "slurm":
        from bench.run.executors.slurm import SlurmExecutor

        return SlurmExecutor(sandbox=options.sandbox)
    from bench.run.executors.ray_driver import RayExecutor

    return RayExecutor(
        options.address,
        submissions,
        sandbox=options.sandbox,
        gpus_per_run=options.gpus_per_run,
        keep_seconds=max(2.0, 2 * _checkpoint_seconds()),
    )


def _run(
    options: RunOptions,
    found: list[Found],
    broken: list[tuple[Path, BenchError]],
    cluster: Cluster | None,
    notices: list[str],
) -> Outcome:
    plan, unplanned = _plan(options, found, cluster)
    plan.notices[:0] = notices
    problems = [*(error for _, error in broken), *unplanned]
    if not options.dry_run:
        check_writable(options.results)
    display = choose_display(options.log_format)
    if cluster is not None:
        cluster.on_retry = display.message
    runner = Runner(plan, display, cluster)
    code = max([ExitCode.OK, *(error.exit_code for error in problems)])
    try:
        for error in problems:
            display.message(f"✗ {error}")
        for notice in plan.notices:
            display.message(notice)
        display.planned(plan)
        if plan.jobs(State.TO_DO):
            runner.verify() if options.dry_run else runner.run()
        elif plan.entries:
            display.message("nothing to do: every run of this plan has its record")
    finally:
        display.close()
    code = max(code, runner.exit_code)
    if any(job.state is State.FAILED for job in plan.jobs()) and code == ExitCode.OK:
        code = ExitCode.RUN_FAILED
        print("some runs failed earlier; `--retry failed` repeats them", file=sys.stderr)
    return Outcome(
        exit_code=code,
        protocols={entry.protocol.hash for entry in plan.entries},
        names={entry.found.name for entry in plan.entries},
        identities={job.identity.hash for job in plan.jobs()},
        changes={name: variant.what for one in found for name, variant in one.manifest.ablations.items()},
    )


def settings_of(options: RunOptions, cluster: Cluster | None) -> Settings:
    """What the options ask for, but for how many runs go side by side.

    Raises:
        UsageError: If an option makes no sense.
    """
    device = choose_device(options.device) if cluster is None else cluster.device(options.device)
    return Settings(
        profile=options.profile,
        seeds=options.seeds,
        variants=options.variants,
        device=device,
        results=options.results,
        data_root=data_root(options.data_root),
        embedded=options.embedded,
        track_file=None if (file := choose_tracks(options.track_file).file) is None else file.resolve(),
        checkpoint_seconds=_checkpoint_seconds(),
        force=options.force,
        retry_failed=options.retry_failed,
        timeout_seconds=None if options.timeout is None else parse_duration(options.timeout),
        memory_bytes=None if options.memory is None else parse_memory(options.memory),
        walls=choose_walls(options.sandbox, device) if cluster is None else OPEN,  # each node chooses its own
        elsewhere=cluster is not None,
        precision=one_of(Precision, options.precision, "--precision", device),
        compile=one_of(Compile, options.compile, "--compile", device),
        speeds=one_of(Speeds, options.speeds, "--speeds"),
    )


def side_by_side_settings(options: RunOptions, settings: Settings, cluster: Cluster | None, runs: int) -> Settings:
    """The same with as many of ``runs`` runs side by side as there is room for, and threads each."""
    if cluster is not None:
        jobs = options.jobs or cluster.slots(settings.device)
        return settings.with_jobs(jobs, options.threads or 1)
    jobs, threads = choose_jobs(options.jobs, settings.device, runs)
    by_itself, on_cpu = options.jobs is None, settings.device == "cpu"
    return settings.with_jobs(
        jobs,
        options.threads or threads,
        crowded=by_itself and on_cpu and jobs > 1,
        fitted=by_itself and not on_cpu,
    )


def _plan(options: RunOptions, found: list[Found], cluster: Cluster | None) -> tuple[Plan, list[BenchError]]:
    settings = settings_of(options, cluster)
    plan, problems = make_plan(found, settings)
    add_floors(plan)
    plan.settings = side_by_side_settings(options, settings, cluster, len(plan.jobs(State.TO_DO)))
    return plan, problems


def one_of(kind: Any, text: str, option: str, device: str | None = None) -> Any:
    """``text``, if it is one of a ``Literal``'s values, and one that ``device`` has.

    Raises:
        UsageError: If it is not.
    """
    allowed = get_args(kind)
    if text not in allowed:
        raise UsageError(f"{option} {text!r}: give {', '.join(allowed[:-1])} or {allowed[-1]}")
    if device == "cpu" and text in ON_GPUS:
        raise UsageError(f"{option} {text}: {ON_GPUS[text]}")
    return text


def _checkpoint_seconds() -> float:
    """How often a training saves its state: $BENCH_CHECKPOINT_SECONDS, for machines that may vanish."""
    text = os.environ.get("BENCH_CHECKPOINT_SECONDS", "30")
    try:
        seconds = float(text)
        if not math.isfinite(seconds):
            raise ValueError
        return max(0.0, seconds)
    except ValueError:
        raise UsageError(f"$BENCH_CHECKPOINT_SECONDS is {text!r}; it must be a number of seconds") from None
