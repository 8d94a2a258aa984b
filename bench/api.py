"""The Python interface: run submissions, read their records, compare them, and load a trained network.

For notebooks and scripts; the command line does the same and more. A submission's ``model.py`` uses none of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.jobs.files import WEIGHTS
from bench.contract.manifest import BASE_VARIANT
from bench.contract.records.files import record_path
from bench.contract.records.record import Record
from bench.contract.tracks import OFFICIAL
from bench.errors import ExitCode, NothingToDo, ResultsError, UsageError
from bench.files import hash_file
from bench.harness.commands.run import run_command
from bench.harness.config import RunConfig
from bench.report.records.aggregate import summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.records.flatten import flat_record
from bench.report.records.load import read_all
from bench.report.tables.comparison import Comparison, comparisons
from bench.report.tables.render import render

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from bench.contract.jobs.spec import Compile, Precision
    from bench.harness.config import ExecutorName, Speeds

PathLike = str | Path


class Records(list[Record]):
    """Records in a list, with exports. ``problems`` has a line for each file that could not be read."""

    def __init__(self, records: Iterable[Record] = (), problems: Sequence[str] = ()) -> None:
        super().__init__(records)
        self.problems = list(problems)

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per run, with a column per setting, metric, cost and time (``metrics.top1_accuracy``).

        Fields that hold a list, such as training curves, are left out. What was not measured is missing.

        Raises:
            UsageError: If pandas is not installed (``pip install 'capbench[frame]'``).
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise UsageError("to_frame: pandas is not installed; `pip install 'capbench[frame]'`") from None
        return pandas.DataFrame([flat_record(record) for record in self])

    def to_parquet(self, path: PathLike) -> None:
        """Write ``to_frame`` to a Parquet file.

        Raises:
            UsageError: If pandas or pyarrow is not installed (``pip install 'capbench[frame]'``).
        """
        try:
            self.to_frame().to_parquet(path)
        except ImportError:
            raise UsageError("to_parquet: pyarrow is not installed; `pip install 'capbench[frame]'`") from None


class Comparisons(Sequence[Comparison]):
    """Tables of submissions, one per protocol. ``print`` shows them; a notebook renders them."""

    def __init__(self, tables: Sequence[Comparison]) -> None:
        self._tables = tables

    def __len__(self) -> int:
        return len(self._tables)

    def __getitem__(self, index: Any) -> Any:
        return self._tables[index]

    def __str__(self) -> str:
        return render(self._tables, "simple")

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_markdown(self) -> str:
        """Return the tables as Markdown."""
        return render(self._tables, "markdown")

    def to_html(self) -> str:
        """Return the tables as HTML."""
        return render(self._tables, "html")

    def to_latex(self) -> str:
        """Return the tables as LaTeX, for the package booktabs."""
        return render(self._tables, "latex")

    def to_csv(self) -> str:
        """Return one CSV line per row of all tables, with all digits."""
        return render(self._tables, "csv")

    def to_json(self) -> str:
        """Return the tables as JSON, with all digits and the checksums of their records."""
        return render(self._tables, "json")


@dataclass(frozen=True)
class Summary:
    """The outcome of ``run``."""

    exit_code: ExitCode  # as of ``bench run``: OK, or the most severe one of any submission
    records: Records  # of all runs that were meant, also those that were done before
    problems: Sequence[str] = ()  # why submissions could not be planned: no such profile, no data

    @property
    def ok(self) -> bool:
        """Whether every run succeeded."""
        return self.exit_code == ExitCode.OK


def run(  # noqa: PLR0913 - the options of `bench run`
    submissions: PathLike | Sequence[PathLike],
    *,
    profile: str = OFFICIAL,
    seeds: int | Sequence[int] | None = None,
    variants: str = BASE_VARIANT,
    track: PathLike | None = None,
    embedded: bool = False,
    data_root: PathLike | None = None,
    results: PathLike = "results",
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
    """Verify submissions, then train and evaluate them; runs that have a record are not repeated.

    Args:
        submissions: A submission's folder, or several, or folders of submissions.
        profile: "official", "quick", "tuning", "smoke" or "demo"; only official runs rank.
        seeds: How many (seeds 0, 1, …), or which; None for the profile's number.
        variants: "base", "all", or names separated by commas.
        track: Only this track: a name, or the file of your own contest.
        embedded: Whether to use the drawn stand-in data sets.
        data_root: Folder of the data sets; None for $BENCH_DATA or a cache folder.
        results: Folder of the records.
        retry_failed: Whether to repeat runs that failed.
        force: Whether to repeat finished runs.
        device: "auto", "cpu", "cuda" or "cuda:N".
        jobs: Runs side by side; None to choose.
        threads: CPU threads per run; None for an equal share.
        timeout_seconds: Wall time per phase of a run; None for twenty times the estimate.
        memory_bytes: Memory per run; None for an equal share of 90 % of RAM.
        sandbox: "auto", "bwrap" or "none".
        precision: "fp32", "tf32" or "bf16".
        compile: "auto", "on", "off" or "graph".
        speeds: "auto", "alone" or "beside": how speeds are measured.
        executor: "local", "ray" or "slurm".
        address: Of a Ray cluster, HOST:PORT or "auto".
        gpus_per_run: On a Ray cluster.
        log_format: "auto", "lines" or "json".

    Raises:
        BenchError: If the command cannot start. A run that fails has a record that says why, and a submission that
            cannot be planned is in ``problems``.
    """
    from bench.data.store import data_root as resolve_root

    paths = [submissions] if isinstance(submissions, str | Path) else submissions
    results = Path(results)
    config = RunConfig(
        paths=[Path(path) for path in paths],
        profile=profile,
        seeds=_seeds_text(seeds),
        variants=variants,
        track_file=None if track is None else Path(track),
        embedded=embedded,
        data_root=resolve_root(None if data_root is None else Path(data_root)),
        results=results,
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
    records, problems = read_all(results)
    meant = [record for record in records if record.identity.hash in outcome.identities]
    return Summary(outcome.exit_code, Records(meant, problems), outcome.problems)


def _seeds_text(seeds: int | Sequence[int] | None) -> str | None:
    if seeds is None or isinstance(seeds, int):
        return None if seeds is None else str(seeds)
    return ",".join(map(str, seeds)) + ","


def load_records(results: PathLike = "results", *, submissions: PathLike = "submissions") -> Records:
    """Read every record of a results folder.

    Args:
        results: The folder; records are read from ``runs/`` in it.
        submissions: Folder of the submissions, whose manifests have the papers' claims as they are now. It may be
            absent: then records keep the claims of the day on which they were made.

    Returns:
        Checked records; damaged ones are left out, and named in ``problems``.

    Raises:
        ResultsError: If there is no such folder.
    """
    results = Path(results)
    if not results.is_dir():
        raise ResultsError(f"{results}: no such folder; `bench run` or `bench.run` writes records")
    records, problems = read_all(results)
    records, unread = with_current_claims(records, Path(submissions))
    return Records(records, [*problems, *unread])


def compare(
    records: Iterable[Record], *, columns: Sequence[str] | None = None, sort: str = "score"
) -> Comparisons:
    """Compare submissions in one table per protocol, averaged over seeds, the best of each column marked.

    Args:
        records: As from ``load_records``.
        columns: Names of columns, metrics (``nll``) or fields of a record (``config.batch_size``); None for the
            usual ones.
        sort: The column to sort by, the best first; prefix ``-`` to reverse.

    Raises:
        UsageError: If no record has such a column.
        NothingToDo: If there is no record.
    """
    rows = summarize(records)
    if not rows:
        raise NothingToDo("compare: no records; `bench.run` makes them")
    return Comparisons(comparisons(rows, keys=columns, sort=sort))


def load_model(  # noqa: PLR0913 - what makes a run
    submission: str,
    *,
    seed: int = 0,
    variant: str = BASE_VARIANT,
    track: str | None = None,
    profile: str = OFFICIAL,
    results: PathLike = "results",
    submissions: PathLike = "submissions",
    device: str = "cpu",
) -> "nn.Module":
    """Return the trained network of a run, in eval mode, without gradients.

    The submission's code runs in this process, without a sandbox. The weights lie beside the record and are not in
    git: they are there where the run was made, or after ``bench unpack`` of an archive with them.

    Args:
        submission: Name of the submission.
        seed: Seed of the run.
        variant: Name of the variant.
        track: Name of the track; None if the run is of a single one.
        profile: Name of the profile.
        results: Folder of the records.
        submissions: Folder of the submission's folder.
        device: "cpu", "cuda" or "cuda:N".

    Returns:
        For a classifier, a network that maps uint8 images, (B, C, H, W), to logits, (B, num_classes) float32.

    Raises:
        ResultsError: If there is no such run, its weights are not there, or the submission's code has changed.
        ContractError: If the code cannot be loaded.
    """
    from bench.job.inference.trained import trained_network

    wanted = f"{submission}/{variant}, profile {profile}, seed {seed}"
    found = [
        record
        for record in read_all(Path(results))[0]
        if (record.identity.submission, record.identity.variant) == (submission, variant)
        and (record.protocol.profile, record.identity.seed) == (profile, seed)
        and track in (None, record.protocol.track)
        and record.status == "ok"
    ]
    if not found:
        raise ResultsError(f"{results}: no finished run of {wanted}; `bench status` lists the runs")
    tracks = sorted({record.protocol.track for record in found})
    if len(tracks) > 1:
        raise UsageError(f"load_model: {wanted} was run on {', '.join(tracks)}; give `track`")
    record = max(found, key=lambda record: record.timing.finished_at)
    weights = record_path(Path(results), record.identity, record.protocol).with_suffix("") / WEIGHTS
    if not weights.is_file():
        raise ResultsError(f"{weights}: not there; it is not in git: run {wanted} here, or unpack its archive")
    if record.training is None or hash_file(weights) != record.training.weights_sha256:
        raise ResultsError(f"{weights}: not the weights that its record was made with; run it again")
    return trained_network(record, Path(submissions) / submission, weights, device)
