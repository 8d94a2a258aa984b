"""The options of ``bench run``, shared by all commands that train: run, ablate and tune."""

import inspect
from collections.abc import Callable, Collection
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from bench.cli.options import (
    DataRoot,
    Device,
    Embedded,
    LogFormat,
    Precision,
    Profile,
    Results,
    Sandbox,
    Threads,
    TrackOption,
)
from bench.errors import UsageError

if TYPE_CHECKING:  # commands import their dependencies when they run
    from bench.harness.config import RunConfig

PANELS = {  # panel of the help -> its options
    "Runs": (
        "profile", "seeds", "seed", "variants", "track", "embedded", "data_root", "results", "dry_run", "retry",
        "force", "log_format",
    ),
    "Training": ("precision", "compile_", "speeds"),
    "Machine": (
        "device", "jobs", "threads", "timeout", "memory", "sandbox", "executor", "address", "gpus_per_run",
    ),
}  # fmt: skip
Seeds = Annotated[
    str | None,
    typer.Option(
        help="A count (5), a list (0,3,7) or a range (0-4); default: the profile's.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="A single seed, such as 0.", show_default=False),
]
Variants = Annotated[str, typer.Option(help="base, all, or names separated by commas.")]
Retry = Annotated[str, typer.Option(help="Runs to repeat: none or failed.")]
Force = Annotated[bool, typer.Option("--force", help="Repeat finished runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Verification and plan only; no training.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Parallel runs; default: one per core, on a GPU as many as keep it busy.",
        show_default=False,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        help="Timeout per phase of a run, e.g. 90m; default: 20 times the estimate.",
        show_default=False,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="Memory per run, e.g. 4G; default: an equal share of 90 % of RAM, on a GPU no limit.",
        show_default=False,
    ),
]
Compile = Annotated[
    str,
    typer.Option(
        "--compile",
        help="torch.compile for training steps: auto (if faster, for long runs), on, off, or graph (GPU: each "
        "step as one CUDA graph, if faster and bit-identical).",
    ),
]
Speeds = Annotated[
    str,
    typer.Option(
        help="Speed measurements: alone (one at a time, before any run starts), shared (while others run), or "
        "auto (alone for official runs on this machine).",
    ),
]
Executor = Annotated[str, typer.Option(help="local, or a cluster: ray or slurm.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of the Ray cluster, or auto; default: this machine.",
        show_default=False,
    ),
]
GpusPerRun = Annotated[float, typer.Option(help="GPUs per run (Ray); 0.25 means four runs per GPU.")]


def run_config(
    *,
    profile: Profile = "official",
    seeds: Seeds = None,
    seed: Seed = None,
    variants: Variants = "base",
    track: TrackOption = None,
    embedded: Embedded = False,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    dry_run: DryRun = False,
    retry: Retry = "none",
    force: Force = False,
    precision: Precision = "fp32",
    compile_: Compile = "auto",
    speeds: Speeds = "auto",
    device: Device = "auto",
    jobs: Jobs = None,
    threads: Threads = None,
    timeout: Timeout = None,
    memory: Memory = None,
    sandbox: Sandbox = "auto",
    executor: Executor = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = 1.0,
    log_format: LogFormat = "auto",
) -> "RunConfig":
    """Parse the options into a configuration.

    Raises:
        UsageError: If an option cannot be parsed; ``RunConfig.resolved`` checks values that depend on the machine.
    """
    from bench.data.store import data_root as resolve_root
    from bench.harness.config import RunConfig
    from bench.harness.executors.limits import parse_duration, parse_memory

    if retry not in ("none", "failed"):
        raise UsageError(f"--retry {retry!r}: give none or failed")
    return RunConfig(
        profile=profile,
        seeds=seeds_of(seeds, seed),
        variants=variants,
        track=track,
        embedded=embedded,
        data_root=resolve_root(data_root),
        results=results,
        dry_run=dry_run,
        retry_failed=retry == "failed",
        force=force,
        device=device,
        jobs=jobs,
        threads=threads,
        timeout_seconds=None if timeout is None else parse_duration(timeout),
        memory_bytes=None if memory is None else parse_memory(memory),
        sandbox=sandbox,
        precision=precision,  # type: ignore[arg-type]  # checked when the configuration is resolved
        compile=compile_,  # type: ignore[arg-type]  # as above
        speeds=speeds,  # type: ignore[arg-type]  # as above
        executor=executor,  # type: ignore[arg-type]  # as above
        address=address,
        gpus_per_run=gpus_per_run,
        log_format=log_format,
    )


def with_run_options(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of ``run_config`` to a command, which receives them as its argument ``config``.

    A parameter of the command replaces the shared option of the same name.

    Args:
        without: Parameters of ``run_config`` that the command does not have.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        declared = {name: p for name, p in inspect.signature(command).parameters.items() if name != "config"}
        shared = {name: p for name, p in inspect.signature(run_config).parameters.items() if name not in without}

        def with_config(**values: Any) -> None:
            config = run_config(**{name: values[name] for name in shared})
            command(config=config, **{name: values[name] for name in declared if name not in shared})

        parameters = [_keyword_in_panel(parameter) for parameter in (shared | declared).values()]
        with_config.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        with_config.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        with_config.__name__, with_config.__doc__ = command.__name__, command.__doc__
        return with_config

    return decorate


def _keyword_in_panel(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return the parameter as keyword-only, with its option in its panel of the help."""
    kind, option = get_args(parameter.annotation)
    panel = next((panel for panel, names in PANELS.items() if parameter.name in names), None)
    if panel is not None:
        option = copy(option)
        option.rich_help_panel = panel
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option])


def seeds_of(seeds: str | None, seed: int | None) -> str | None:
    """Merge ``--seeds`` and ``--seed`` into one text in the syntax of ``--seeds``.

    Raises:
        UsageError: If both options are set.
    """
    if seed is None:
        return seeds
    if seeds is not None:
        raise UsageError(f"--seed {seed} and --seeds {seeds}: give one of the two")
    return f"{seed},"
