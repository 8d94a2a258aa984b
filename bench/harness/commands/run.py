"""``bench run``: plan, verify and execute the runs of a configuration."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, ExitCode, UsageError
from bench.harness.config import ExecutorName, RunConfig, check_choice
from bench.harness.executors.remote.base import Cluster
from bench.harness.planning.plan import Plan, Planned
from bench.harness.planning.planner import make_plan
from bench.harness.progress.choose import choose_display
from bench.harness.results.recording import check_writable
from bench.harness.runner import Runner
from bench.harness.submissions.discovery import SubmissionSource, submissions_of
from bench.harness.submissions.handed_in import NAMES

EXTRAS = {"ray": "ray", "slurm": "submitit"}  # executor, and name of its pip extra -> package


@dataclass(frozen=True)
class RunSummary:
    """The exit code of a command, and the runs that it planned."""

    exit_code: ExitCode
    protocols: set[str]  # hashes of the protocols
    names: set[str]  # of the submissions
    labels: dict[str, str]  # hash of a planned run's identity -> its name in messages
    problems: list[str]  # why submissions could not be planned
    changes: dict[str, str]  # variant -> description of its change


def run_command(config: RunConfig) -> RunSummary:
    """Plan the runs, verify all submissions, and execute the runs that have no record yet.

    Returns:
        The summary; its exit code is the most severe one of all submissions.

    Raises:
        BenchError: If the whole command cannot start.
        KeyboardInterrupt: After Ctrl-C; checkpoints are kept.
    """
    notices: list[str] = []
    sources, broken = submissions_of(config.paths, config.track, notices.append)
    notices += [
        f"{path}: {source.name} can read these weights while it trains; keep them out of its folder"
        for source in sources
        for path in (source.folder / name for name in NAMES)
        if path.exists()
    ]
    cluster = choose_executor(config, [source.folder for source in sources])
    try:
        plan = plan_of(sources, config, cluster)
        return _execute(plan, [error for _, error in broken], cluster, notices)
    finally:
        if cluster is not None:
            cluster.close()


def choose_executor(config: RunConfig, submissions: Sequence[Path]) -> Cluster | None:
    """Connect to the cluster of ``--executor``; None for this machine.

    Raises:
        UsageError: If the executor is unknown, or its package is not installed.
    """
    executor = config.executor
    check_choice(ExecutorName, executor, "--executor")
    if config.address is not None and executor != "ray":
        raise UsageError("--address: only for a Ray cluster; add --executor ray")
    if executor == "local":
        return None
    if importlib.util.find_spec(EXTRAS[executor]) is None:
        raise UsageError(
            f"--executor {executor}: {EXTRAS[executor]} is not installed; run `pip install 'capbench[{executor}]'`"
        )
    if executor == "slurm":
        from bench.harness.executors.remote.slurm import SlurmExecutor

        return SlurmExecutor(sandbox=config.sandbox)
    from bench.harness.executors.remote.ray_driver import RayExecutor

    return RayExecutor(
        config.address,
        submissions,
        sandbox=config.sandbox,
        gpus_per_run=config.gpus_per_run,
        keep_seconds=max(2.0, 2 * config.checkpoint_seconds),
    )


def resolve_config(config: RunConfig, cluster: Cluster | None) -> RunConfig:
    """Resolve the configuration for this machine, or for the cluster's device.

    Raises:
        UsageError: If an option is invalid.
    """
    return config.resolved(None if cluster is None else cluster.device(config.device))


def slots_of(config: RunConfig, cluster: Cluster | None) -> int | None:
    """Return the number of runs that the cluster takes at once; None on this machine."""
    return None if cluster is None else cluster.slots(config.device)


def plan_of(sources: Sequence[SubmissionSource], config: RunConfig, cluster: Cluster | None) -> Plan:
    """Resolve the configuration and plan the runs of these submissions.

    Raises:
        UsageError: If an option is invalid.
    """
    config = resolve_config(config, cluster)
    return make_plan(sources, config, remote_slots=slots_of(config, cluster))


def _execute(
    plan: Plan, broken: Sequence[BenchError], cluster: Cluster | None, notices: Sequence[str]
) -> RunSummary:
    problems = [*broken, *plan.problems]
    if not plan.config.dry_run:
        check_writable(plan.config.results)
    display = choose_display(plan.config.log_format)
    if cluster is not None:
        cluster.on_retry = display.message
    runner = Runner(plan, display, cluster)
    code = max([ExitCode.OK, *(error.exit_code for error in problems)])
    try:
        for error in problems:
            display.problem(str(error))
        for notice in (*notices, *plan.notices):
            display.message(notice)
        if plan.entries:
            display.planned(plan)
        if plan.in_state(Planned.TO_DO):
            runner.verify() if plan.config.dry_run else runner.run()
        elif plan.entries:
            display.message("nothing to do: every run of this plan has a record")
        code = max(code, runner.exit_code)
        if plan.in_state(Planned.FAILED):
            code = max(code, ExitCode.RUN_FAILED)
            display.message("some runs failed earlier; `--retry failed` repeats them")
    finally:
        display.close()
    sources = [entry.source for entry in plan.entries]
    return RunSummary(
        exit_code=code,
        protocols={entry.protocol.hash for entry in plan.entries},
        names={source.name for source in sources},
        labels={job.identity.hash: job.label for job in plan.jobs},
        problems=[str(error) for error in problems],
        changes={name: variant.what for source in sources for name, variant in source.manifest.ablations.items()},
    )
