"""The columns of comparison tables: named ones, one per metric, and one per field of a record."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.contract.manifest import Claim
from bench.contract.metrics import FID, OF_SAMPLES, SHOWN, Better, Metric, metric_named
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.records.aggregate import Row
from bench.report.tables.table import Value
from bench.report.tables.text import MISSING, spread_text, value_text
from bench.stats.spreads import Spread, spread
from bench.text import beginning

LONGEST_REASON = 70  # characters of a reason in a table; the page of the submission has all of it


@dataclass(frozen=True)
class Column:
    """One column: ``value`` in full precision, ``text`` rounded for display."""

    key: str  # its name for --columns and --sort
    title: str
    value: Callable[[Row], Value]
    text: Callable[[Row], str]
    better: Better | None = None  # None: no best value is marked
    optional: bool = False  # omitted if all its cells are empty
    by_seed: Callable[[Row], Mapping[int, float]] | None = None  # samples for the significance tests
    metric: Metric | None = None  # that the column shows, if it is one


def device_of(row: Row) -> str:
    """Return the name of the device that the speed was measured on, with the thread count of a CPU."""
    environment = row.representative.environment
    is_known_cpu = environment.get("device_type") == "cpu" and "threads" in environment
    threads = f", {environment['threads']} thr" if is_known_cpu else ""
    return f"{environment.get('device')}{threads}"


def conditions_of(row: Row) -> str:
    """Return the device, and ``busy machine`` if every speed was measured under background load."""
    return device_of(row) + (", busy machine" if row.noisy else "")


def common_conditions(rows: Iterable[Row]) -> str | None:
    """Return the conditions that all measured speeds share, else their common device, else None."""
    timed = [row for row in rows if row.images_per_s is not None]
    for describe in (conditions_of, device_of):
        descriptions = {describe(row) for row in timed}
        if len(descriptions) == 1:
            return descriptions.pop()
    return None


def claim_of(row: Row) -> Claim | None:
    """Return the paper's value of the claimed score; None if the run is not comparable with the paper."""
    record = row.representative
    claim: Claim | None = getattr(record.claims, row.claimed_score.key) if record.comparable_with_paper else None
    return claim


def columns_of(rows: Sequence[Row], keys: Sequence[str] | None = None) -> list[Column]:
    """Return the columns of a table of ``rows``, which share one protocol.

    Args:
        rows: At least one row.
        keys: The columns, in order; None for the default ones. A key that names no column is a metric (``nll``)
            or the path of a field in the record (``config.batch_size``); its cells are empty if no row has it.
    """
    named = {column.key: column for column in _default_columns(rows)}
    if keys is None:
        return list(named.values())
    return [named[key] if key in named else _field(key) for key in keys]


def check_keys(groups: Sequence[Sequence[Row]], keys: Iterable[str]) -> None:
    """Check that every key names a column, a metric or a record field.

    Args:
        groups: The rows of each protocol.
        keys: The requested columns.

    Raises:
        UsageError: If no row has a column, a metric or a field of that name.
    """
    known = list(dict.fromkeys(column.key for rows in groups for column in _default_columns(rows)))
    rows = [row for group in groups for row in group]
    for key in keys:
        if key not in known and not any(_values(row, key) for row in rows):
            records = [record for row in rows for record in row.finished if record.evaluation]
            metrics = sorted({name for r in records if r.evaluation for name in r.evaluation.metrics})
            raise UsageError(
                f"column {key!r}: no record has it; available: the columns {', '.join(known)}; the metrics "
                f"{', '.join(metrics)}; and every field of a record, such as config.batch_size or "
                "timing.training_seconds"
            )


def _default_columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the default columns of a table of one protocol, in order."""
    score, protocol = rows[0].ranking_metric, rows[0].representative.protocol
    claimed = rows[0].claimed_score
    return (
        Column("submission", "submission", lambda row: row.label, lambda row: row.label),
        Column("params", "params", lambda row: _cost(row, "params"), _params),
        Column("macs", "MMACs", lambda row: _cost(row, "macs_per_image"), _mmacs),
        Column(
            "images_per_s",
            "inference images/s",
            lambda row: row.images_per_s,
            _speed(common_conditions(rows)),
            "higher",
        ),
        Column(
            "score",
            f"{score.title} ({protocol.evaluate})",
            lambda row: row.metric(score.name),
            lambda row: spread_text(row.metric(score.name), score),
            score.better,
            by_seed=lambda row: row.by_seed(score.name),
            metric=score,
        ),
        *(_metric(metric) for metric in further_metrics(rows)),
        Column(
            "as_published",
            f"as published{(score == claimed and claimed.unit) or f' {claimed.label}{claimed.unit}'}",
            lambda row: row.as_published(row.published_score.name),
            _as_published,
            claimed.better,
            optional=True,
            by_seed=lambda row: row.by_seed(row.published_score.name, as_published=True),
        ),
        Column(
            "paper", "paper", lambda row: claim.mean if (claim := claim_of(row)) else None, _paper, optional=True
        ),
        Column(
            "steps", "steps", lambda row: row.steps or None, lambda row: f"{row.steps:,}" if row.steps else MISSING
        ),
        Column("status", "status", lambda row: row.status, _status),
    )


def further_metrics(rows: Sequence[Row]) -> list[Metric]:
    """Return the metrics with a column of their own: all of samples, and those that the track asks for.

    These are the `metrics` of the track of the record that finished last.
    """
    protocol, ranking = rows[0].representative.protocol, rows[0].ranking_metric
    latest = max((record for row in rows for record in row.records), key=lambda record: record.timing.finished_at)
    metrics = [] if protocol.samples is None else [FID, *OF_SAMPLES]
    metrics += [metric for key in latest.shown_metrics for metric in SHOWN[protocol.task] if metric.key == key]
    at = [metric.at(protocol.samples) for metric in dict.fromkeys(metrics)]
    return [metric for metric in at if metric != ranking]


def _status(row: Row) -> str:
    """Return the status; for a row with failed runs, with the beginning of the first one's reason."""
    reason = beginning(row.reason, LONGEST_REASON)
    return f"{row.status}: {reason}" if reason else row.status


def _cost(row: Row, field: str) -> int | None:
    """Return a field of the row's cost; None if it was not counted."""
    cost = row.representative.cost
    return None if cost is None else getattr(cost, field)


def _mmacs(row: Row) -> str:
    cost = row.representative.cost
    return MISSING if cost is None else f"{cost.bound}{cost.macs_per_image / 1e6:.2f}"


def _params(row: Row) -> str:
    cost, claim = row.representative.cost, row.representative.claims.params
    if cost is None:
        return MISSING
    if claim is None:
        return f"{cost.params:,}"
    if claim == cost.params:
        return f"{cost.params:,} ="
    data = row.representative.data
    if data is not None and data.stand_in_for is not None:  # image size or classes may differ from the paper's
        return f"{cost.params:,} ({data.num_classes} classes)"
    return f"{cost.params:,} (paper {claim:,})"


def _speed(shared: str | None) -> Callable[[Row], str]:
    """Return the formatter of images per second, with the row's conditions if the title does not have them."""

    def text(row: Row) -> str:
        if row.images_per_s is None:
            return MISSING
        conditions = conditions_of(row).removeprefix(shared or "").removeprefix(", ")
        return f"{row.images_per_s:,.0f}" + (f" ({conditions})" if conditions else "")

    return text


def _paper(row: Row) -> str:
    claim, score = claim_of(row), row.claimed_score
    if claim is None:
        return MISSING
    text = f"{score.scale * claim.mean:.4g}" if score.unit else f"{score.label} {claim.mean:g}"
    if score.unit and not row.ranks_by_claimed:
        text = f"{score.label} {text}"
    if claim.std is not None:
        text += f" ± {claim.std * score.scale:.4g}"
    selected = "best on test" if claim.selected else ""
    notes = [claim.over or "", selected, "as published" if claim.protocol == "as-published" else ""]
    remarks = ", ".join(filter(None, notes))
    return f"{text} ({remarks})" if remarks else text


def _as_published(row: Row) -> str:
    """Return the score as published: the mean over seeds, or the best seed if the author reports the best run."""
    settings, score = row.representative.as_published, row.published_score
    value, resized = row.as_published(score.name), ", clean" if "clean" in score.name else ""
    if value is None or settings is None or not settings.best_seed:
        return MISSING if value is None else spread_text(value, score) + resized
    best = max(row.by_seed(score.name, as_published=True).values(), key=lambda result: score.sign * result)
    return f"{value_text(best, score)} (best of n={value.n}){resized}"


def _metric(metric: Metric) -> Column:
    """Return the column of a further metric (mean ± std), which is omitted if no run has it."""
    return Column(
        metric.key,
        metric.title,
        lambda row: row.metric(metric.name),
        lambda row: spread_text(row.metric(metric.name), metric, with_n=False),
        metric.better,
        optional=True,
        by_seed=lambda row: row.by_seed(metric.name),
        metric=metric,
    )


def _field(key: str) -> Column:
    """Return the column of a metric or a field: mean ± std if its numbers differ, else the common value."""
    metric = metric_named(key.rsplit(".", 1)[-1])
    is_metric = "." not in key

    def value(row: Row) -> Value:
        values = list(_values(row, key).values())
        if not values:
            return None
        if any(isinstance(item, str | bool) for item in values):
            return ", ".join(sorted({str(item) for item in values}))
        return spread(values) if is_metric or len(set(values)) > 1 else values[0]

    def text(row: Row) -> str:
        content = value(row)
        if content is None or isinstance(content, str):
            return content or MISSING
        if isinstance(content, Spread):
            return spread_text(content, replace(metric, digits=_digits(content, metric.scale)))
        return f"{content:,}" if isinstance(content, int) else f"{content:.6g}"

    title = key + (metric.title.removeprefix(metric.name) if is_metric or metric.scale != 1 else "")
    if not is_metric:
        return Column(key, title, value, text)
    return Column(key, title, value, text, metric.better, by_seed=lambda row: row.by_seed(key), metric=metric)


def _values(row: Row, key: str) -> dict[int, Any]:
    """Map each seed to its metric, or to the field at a dotted path, for finished runs that have it."""
    if "." not in key:
        return dict(row.by_seed(key))
    values = {record.identity.seed: _at_path(record, key) for record in row.finished}
    return {seed: value for seed, value in values.items() if value is not None}


def _at_path(record: Record, path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return value if isinstance(value, str | int | float | bool) else None


def _digits(value: Spread, scale: float) -> int:
    """Return the decimals that show two digits of the standard deviation, else four digits of the mean."""
    size = scale * (value.std if value.std else abs(value.mean) / 100)
    return min(6, max(0, 1 - math.floor(math.log10(size)))) if size else 2
