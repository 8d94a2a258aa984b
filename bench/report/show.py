"""``bench show``: everything that is known of one run, from its record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.origin import unpacked, with_origin
from bench.contract.records.record import Record, Throughput, Timing
from bench.errors import ResultsError, UsageError
from bench.report.status import OUTDATED, ResultsFolder, Run, StatusOptions

MOST_EXAMPLES = 8  # of the records that match


def show_text(options: StatusOptions, wanted: str) -> str:
    """Return the content of one run's record as text.

    Args:
        options: The folders.
        wanted: The record's path, or a unique part of it (a name, a hash).

    Raises:
        UsageError: If no record or several match.
    """
    path = find_record(options.results, wanted)
    record = read_record(path)
    # The markers of the record's own results folder, which may differ from ``options.results``.
    marks = {mark.resolve(): checksum for mark, checksum in unpacked(path.resolve().parents[4]).items()}
    run = ResultsFolder(options).of_record(path, record)
    return "\n".join(_sections(run, with_origin(record, path.resolve(), marks)))


def find_record(results: Path, wanted: str) -> Path:
    """Return the path of the record at ``wanted``, or of the only record with ``wanted`` in its path.

    Raises:
        UsageError: If no record or several match.
    """
    path = Path(wanted)
    if not path.is_file():
        matching = [path for path in record_paths(results) if wanted in str(path.relative_to(results))]
        if len(matching) != 1:
            examples = "; ".join(_named(path, results) for path in matching[:MOST_EXAMPLES])
            examples += f"; and {len(matching) - MOST_EXAMPLES:,} more" if len(matching) > MOST_EXAMPLES else ""
            matches = f"{len(matching)} records: {examples}" if matching else "no record"
            raise UsageError(f"{wanted!r}: matches {matches}; give a record's path or a unique part of it")
        path = matching[0]
    return path


def _named(path: Path, results: Path) -> str:
    """Return profile and seed of a record, and its path, part of which chooses it."""
    where = str(path.relative_to(results / "runs"))
    try:
        record = read_record(path)
    except ResultsError:
        return f"unreadable: {where}"
    outcome = "" if record.status == "ok" else f" ({record.status})"
    return f"{record.protocol.profile} seed {record.identity.seed}{outcome}: {where}"


def _sections(run: Run, record: Record) -> Iterator[str]:
    identity, protocol, path = record.identity, record.protocol, run.path
    yield f"{run.name}, {protocol.track}, {protocol.profile}, seed {run.seed}: {run.state}"
    if run.reason:
        yield f"  {run.reason}"
    if run.repair:
        yield f"  {'clean up' if run.state == OUTDATED else 'continue'}: {run.repair}"
    if not record.made_here:
        yield "  made elsewhere: imported by `bench unpack`"
    reasons = record.reasons_against_rank
    yield f"  unranked: {', '.join(reasons)}" if reasons else "  ranked"
    yield f"  {path}"
    yield from _table("config", record.config)
    if record.evaluation is not None:
        metrics = record.evaluation.metrics
        intervals = {
            name: f" [{low:.4g}, {high:.4g}]" for name, (low, high) in record.evaluation.intervals.items()
        }
        yield from _table("metrics", {name: f"{metrics[name]:.5g}{intervals.get(name, '')}" for name in metrics})
        yield from _table("as published", {k: f"{v:.5g}" for k, v in record.evaluation.as_published.items()})
    yield from _table("not measured", record.not_measured)
    if record.cost is not None:
        cost = record.cost
        yield from _table(
            "cost",
            {
                "params": f"{cost.params:,}",
                "stored scalars": f"{cost.stored_scalars:,}",
                "MACs per image": f"{cost.bound}{cost.macs_per_image:,}",
                "training FLOPs per step": f"{cost.training_flops_per_step:,}",
                "bytes of weights": "not counted" if cost.weight_bytes is None else f"{cost.weight_bytes:,}",
                "uncounted operators": ", ".join(cost.uncounted_operators) or "none",
                "counters": "not recorded" if cost.warnings is None else "; ".join(cost.warnings) or "agree",
            },
        )
    yield from _table("timing", _timing(record.timing))
    environment = record.environment
    shown = {name: environment.get(name) for name in ("device", "threads", "python", "packages", "repository")}
    earlier = dict(map(_segment, environment.get("earlier_segments", [])))
    yield from _table("environment", shown | earlier)
    yield from _table(
        "hashes", {"identity": identity.hash, "protocol": protocol.hash, "source": identity.source_hash}
    )
    files = sorted(path.with_suffix("").rglob("*")) if path.with_suffix("").is_dir() else []
    yield from _table("files", {str(file.relative_to(path.parent)): "" for file in files if file.is_file()})
    if record.log_tail:
        yield "\nlast lines of output"
        yield from (f"  {line}" for line in record.log_tail)


def _segment(segment: dict[str, Any]) -> tuple[str, str]:
    """Return the steps of an earlier segment of the training, and what differed from the last segment."""
    differences = [f"{name} {value}" for name, value in segment.items() if name not in ("from_step", "to_step")]
    return f"steps {segment['from_step']:,} to {segment['to_step']:,}", ", ".join(differences)


def _timing(timing: Timing) -> dict[str, object]:
    """Return all measured times; throughputs with their interquartile range and background load."""
    shown: dict[str, object] = {}
    for name in Timing.model_fields:
        value = getattr(timing, name)
        if isinstance(value, Throughput):
            load = ""
            if value.background_load is not None:
                load = f"; background load {value.background_load:.0%} of all cores"
            if value.concurrent_runs:
                load += f"; {value.concurrent_runs} other runs at the same time"
            shown[name] = f"{value.median_per_s:,.5g} (interquartile range {value.iqr_per_s:.3g}{load})"
        elif value is not None:
            shown[name] = f"{value:.5g}" if isinstance(value, float) else value
    return shown


def _table(title: str, values: dict[str, object] | dict[str, str]) -> Iterator[str]:
    if values:
        yield f"\n{title}"
        yield from (f"  {name:28} {value}".rstrip() for name, value in values.items())
