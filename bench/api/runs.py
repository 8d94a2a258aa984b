"""Runs of submissions from Python, like ``bench run``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.records import Records
from bench.contract.contest import results_folder
from bench.errors import ExitCode, UsageError
from bench.harness.commands.run import run_command
from bench.harness.config import RunConfig
from bench.report.records.load import read_all

if TYPE_CHECKING:
    from bench.contract.jobs.spec import Compile, Precision
    from bench.harness.config import ExecutorName, Speeds


@dataclass(frozen=True, repr=False)
class Summary:
    """The outcome of ``run``.

    Attributes:
        exit_code: The exit code of ``bench run``: ``OK``, or the most severe one of any submission.
        records: Records of all planned runs, including those that were finished before.
        problems: Why submissions could not be planned, such as missing data, and which runs left no record.
    """

    exit_code: ExitCode
    records: Records
    problems: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether every run succeeded."""
        return self.exit_code == ExitCode.OK

    @property
    def failed(self) -> Records:
        """Records of the runs that failed; each has a ``status`` and a ``reason``."""
        return Records(record for record in self.records if record.status != "ok")

    def __repr__(self) -> str:
        succeeded = len(self.records) - len(self.failed)
        lines = [f"{self.exit_code.name}: {succeeded} of {len(self.records)} runs succeeded"]
        lines += [f"{record!r}: {record.reason}" for record in self.failed]
        return "\n".join([*lines, *self.problems])


def run(  # noqa: PLR0913 - the options of `bench run`
    submissions: str | Path | Sequence[str | Path],
    *,
    profile: str = "official",
    seeds: int | Iterable[int] | None = None,
    variants: str | Sequence[str] = "base",
    track: str | Path | None = None,
    embedded: bool = False,
    data_root: str | Path | None = None,
    results: str | Path | None = None,
    retry_failed: bool = False,
    force: bool = False,
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    timeout_seconds: float | None = None,
    memory_bytes: int | None = None,
    sandbox: str = "auto",
    precision: "Precision" = "fp32",
    compile: "Compile" = "auto",  # noqa: A002 - the option's name
    speeds: "Speeds" = "auto",
    executor: "ExecutorName" = "local",
    address: str | None = None,
    gpus_per_run: float = 1.0,
    log_format: str = "auto",
) -> Summary:
    """Verify submissions, then train and evaluate them. Finished runs are not repeated; interrupted ones resume.

    Args:
        submissions: One or several folders of a submission, or folders that contain submissions.
        profile: ``"official"``, ``"quick"``, ``"tuning"``, ``"smoke"`` or ``"demo"``; only official runs rank.
        seeds: The number of seeds (0, 1, ...) or the seeds themselves; None for the profile's number.
        variants: ``"base"``, ``"all"``, or the names of variants.
        track: Restricts the command to one track: its name, or the file of a custom track.
        embedded: Whether to use drawn images instead of the track's data set.
        data_root: Folder of the data sets; None for ``$BENCH_DATA`` or a cache folder.
        results: Folder of the records; None for the contest's, elsewhere ``results``.
        retry_failed: Whether to repeat failed runs.
        force: Whether to repeat finished runs.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        jobs: Number of parallel runs; None for one per core, or as many as keep a GPU busy.
        threads: CPU threads per run; None for an equal share of the cores.
        timeout_seconds: Wall time per phase of a run; None for 20 times the estimate, at least 30 minutes.
        memory_bytes: Memory per run; None for an equal share of 90 % of RAM.
        sandbox: ``"bwrap"`` (bubblewrap), ``"none"``, or ``"auto"`` for the strongest available.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``.
        compile: Whether torch compiles training steps: ``"auto"`` (if faster, for long runs), ``"on"``, ``"off"``,
            or ``"graph"`` (on a GPU, each step as one CUDA graph).
        speeds: When speeds are measured: ``"auto"``, ``"alone"`` (before any run) or ``"shared"`` (while
            other runs use the machine).
        executor: ``"local"``, ``"ray"`` or ``"slurm"``.
        address: Address of a Ray cluster, ``HOST:PORT`` or ``"auto"``; None starts a local one.
        gpus_per_run: GPUs per run on a Ray cluster; a fraction lets runs share a GPU.
        log_format: Progress on standard error: ``"auto"``, ``"lines"``, ``"json"`` or ``"quiet"``.

    Returns:
        The summary, with the records of all planned runs.

    Raises:
        BenchError: If the command cannot start. A failed run raises nothing: its record has the reason. A
            submission that cannot be planned is named in ``Summary.problems``.
        KeyboardInterrupt: After Ctrl-C; the same call resumes from the checkpoints.
    """
    from bench.data.store import data_root as resolve_root

    paths = [submissions] if isinstance(submissions, str | Path) else submissions
    records_folder = results_folder(results)
    config = RunConfig(
        paths=[Path(path) for path in paths],
        profile=profile,
        seeds=_seeds_text(seeds),
        variants=variants if isinstance(variants, str) else ",".join(variants),
        track=None if track is None else Path(track),
        embedded=embedded,
        data_root=resolve_root(None if data_root is None else Path(data_root)),
        results=records_folder,
        retry_failed=retry_failed,
        force=force,
        device=device,
        jobs=jobs,
        threads=threads,
        timeout_seconds=timeout_seconds,
        memory_bytes=memory_bytes,
        sandbox=sandbox,
        precision=precision,
        compile=compile,
        speeds=speeds,
        executor=executor,
        address=address,
        gpus_per_run=gpus_per_run,
        log_format=log_format,
    )
    outcome = run_command(config)
    records, unread = read_all(records_folder)
    planned = [r.known_as(of_current_code=True) for r in records if r.identity.hash in outcome.labels]
    recorded = {record.identity.hash for record in planned}
    unrecorded = [f"{label}: left no record" for key, label in outcome.labels.items() if key not in recorded]
    return Summary(outcome.exit_code, Records(planned, unread), [*outcome.problems, *unrecorded])


def _seeds_text(seeds: int | Iterable[int] | None) -> str | None:
    """Return seeds as the command line takes them: ``3`` is a number of seeds, ``7,`` is seed 7."""
    if seeds is None:
        return None
    try:
        if isinstance(seeds, str | bytes):
            raise TypeError
        if isinstance(seeds, Iterable):
            return ",".join(str(index(seed)) for seed in seeds) + ","
        return str(index(seeds))
    except TypeError:
        raise UsageError(f"seeds={seeds!r}: give a number of seeds, or a list of seeds") from None
