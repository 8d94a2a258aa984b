"""The columns that a table can have: those with a name of their own, every metric, every field of a record."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.contract.manifest import Claim
from bench.contract.records import Record
from bench.errors import UsageError
from bench.report.summary import Row
from bench.report.tables import NOTHING, spread_text
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread, spread

Better = Literal["higher", "lower"]
Value = Spread | PairedDifference | float | str | None
ACCURACY_LIKE = ("top1_accuracy", "top5_accuracy", "precision", "recall")
ERROR_LIKE = ("fid", "kid", "nll", "ece")


@dataclass(frozen=True)
class Column:
    """One column. ``value`` is the figure as the record has it; ``text`` is what a table for people shows."""

    key: str  # what --columns and --sort call it
    title: str
    value: Callable[[Row], Value]
    text: Callable[[Row], str]
    better: Better | None = None  # None where neither end is the good one, or nothing is tested
    optional: bool = False  # left out of a table in which nothing stands in it
    by_seed: Callable[[Row], Mapping[int, float]] | None = None  # the figures that a best is told by

    def order(self, row: Row) -> tuple[Any, ...]:
        """What to sort by: the best first, else the least; rows without a value come last."""
        value = self.value(row)
        if value is None:
            return (True, 0.0, row.label)
        if isinstance(value, str):
            return (False, value, row.label)
        number = value if isinstance(value, int | float) else value.mean
        return (False, -number if self.better == "higher" else number, row.label)


def device_of(row: Row) -> str:
    """What a speed was measured on."""
    environment = row.first.environment
    known = environment.get("device_type") == "cpu" and "threads" in environment
    threads = f", {environment['threads']} thr" if known else ""
    return f"{environment.get('device')}{threads}"


def conditions_of(row: Row) -> str:
    """The device, and whether other programs kept it busy."""
    return device_of(row) + (", busy machine" if row.disturbed else "")


def common_conditions(rows: Iterable[Row]) -> str | None:
    """What is the same of all rows that have a speed, if their device is: then it stands in the title, once."""
    timed = [row for row in rows if row.images_per_s is not None]
    for said in (conditions_of, device_of):
        found = {said(row) for row in timed}
        if len(found) == 1:
            return found.pop()
    return None


def claim_of(row: Row) -> Claim | None:
    """The paper's figure for what submissions are ranked by, where ours may stand beside it."""
    record = row.first
    if not record.beside_paper:
        return None
    return record.claims.top1_accuracy if record.task == "classification" else record.claims.fid


def _mmacs(row: Row) -> str:
    cost = row.first.cost
    return NOTHING if cost is None else f"{cost.bound}{cost.macs_per_image / 1e6:.2f}"


def _params(row: Row) -> str:
    cost, claim = row.first.cost, row.first.claims.params
    if cost is None:
        return NOTHING
    if claim is None:
        return f"{cost.params:,}"
    if claim == cost.params:
        return f"{cost.params:,} ="
    data = row.first.data
    if data is not None and data.stand_in_for is not None:  # its images or classes may be others than the paper's
        return f"{cost.params:,} ({data.num_classes} classes)"
    return f"{cost.params:,} (paper {claim:,})"


def _speed(shared: str | None) -> Callable[[Row], str]:
    """Images a second, and of the conditions what the title does not say."""

    def text(row: Row) -> str:
        if row.images_per_s is None:
            return NOTHING
        said = conditions_of(row).removeprefix(shared or "").removeprefix(", ")
        return f"{row.images_per_s:,.0f} ({said})" if said else f"{row.images_per_s:,.0f}"

    return text


def _paper(row: Row) -> str:
    claim = claim_of(row)
    if claim is None:
        return NOTHING
    percents = row.first.task == "classification"
    figure = f"{100 * claim.mean:.4g}" if percents else f"FID {claim.mean:g}"
    if claim.std is not None:
        figure += f" ± {claim.std * (100 if percents else 1):.4g}"
    selected = "best on test" if claim.selected else ""
    notes = [claim.over or "", selected, "as published" if claim.protocol == "as-published" else ""]
    said = ", ".join(filter(None, notes))
    return f"{figure} ({said})" if said else figure


def _as_published(row: Row) -> str:
    """Measured as the author did: the mean over seeds, or the best seed where the author reports that."""
    settings, classifies = row.first.as_published, row.first.task == "classification"
    name = row.published_score_name
    value, percent = row.as_published(name), 100 if classifies else 1
    resized = ", clean" if "clean" in name else ""
    if value is None or settings is None or not settings.best_seed:
        return NOTHING if value is None else spread_text(value, percent) + resized
    best = (max if classifies else min)(row.by_seed(name, as_published=True).values())
    return f"{percent * best:.2f} (best of n={value.n}){resized}"


def _figure(key: str, title: str, name: str, scale: float, digits: int) -> Column:
    """Mean ± std of a metric of samples; left out where no run has it."""

    def text(row: Row) -> str:
        value = row.metric(name)
        return NOTHING if value is None else spread_text(value, scale, digits=digits, with_n=False)

    return Column(
        key,
        title,
        lambda row: row.metric(name),
        text,
        _better(name),
        optional=True,
        by_seed=lambda row: row.by_seed(name),
    )


def _better(name: str) -> Better | None:
    if name.startswith(ACCURACY_LIKE):
        return "higher"
    return "lower" if name.startswith(ERROR_LIKE) and not name.endswith("_std") else None


def _named(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns that a table of one protocol shows if nothing else is asked for, in order."""
    record = rows[0].first
    protocol, classifies, n = record.protocol, record.task == "classification", record.protocol.samples
    score = "top-1 %" if classifies else f"FID@{n}"
    better: Better = "higher" if classifies else "lower"
    percent = 100 if classifies else 1
    samples = (
        _figure("fid_infinity", "FID∞", f"fid_infinity_from_{n}", 1, 2),
        _figure("kid", f"KID@{n} ×1000", f"kid_{n}", 1000, 2),
        _figure("precision", "precision", f"precision_{n}", 1, 3),
        _figure("recall", "recall", f"recall_{n}", 1, 3),
        _figure("lpips", "LPIPS alex", "lpips_alex_64", 1, 3),
        _figure("nearest_train", "nearest train", "nearest_train_lpips_alex_64", 1, 3),
        _figure("nearer", "nearer %", "nearer_than_held_out", 100, 1),
        _figure("copies", "near copies %", "nearer_than_closest_1_percent", 100, 1),
    )
    return (
        Column("submission", "submission", lambda row: row.label, lambda row: row.label),
        Column("params", "params", lambda row: row.first.cost.params if row.first.cost else None, _params),
        Column(
            "macs",
            "MMACs",
            lambda row: row.first.cost.macs_per_image if row.first.cost else None,
            _mmacs,
        ),
        Column(
            "images_per_s", "images/s", lambda row: row.images_per_s, _speed(common_conditions(rows)), "higher"
        ),
        Column(
            "score",
            f"{score} ({protocol.evaluate})",
            lambda row: row.metric(row.score_name),
            lambda row: spread_text(row.metric(row.score_name), percent),
            better,
            by_seed=lambda row: row.by_seed(row.score_name),
        ),
        *(() if classifies else samples),
        Column(
            "as_published",
            "as published %" if classifies else "as published FID",
            lambda row: row.as_published(row.published_score_name),
            _as_published,
            better,
            optional=True,
            by_seed=lambda row: row.by_seed(row.published_score_name, as_published=True),
        ),
        Column(
            "paper", "paper", lambda row: claim.mean if (claim := claim_of(row)) else None, _paper, optional=True
        ),
        Column(
            "steps", "steps", lambda row: row.steps or None, lambda row: f"{row.steps:,}" if row.steps else NOTHING
        ),
        Column("status", "status", lambda row: row.status, lambda row: row.status),
    )


def columns_of(rows: Sequence[Row], keys: Sequence[str] | None = None) -> list[Column]:
    """The columns of a table of ``rows``, which are of one protocol.

    Args:
        rows: At least one.
        keys: Which columns, in order; None for the usual ones. What is no column's name is a metric (``nll``) or
            the path of a field in the record (``config.batch_size``); one that no row has is empty.
    """
    named = {column.key: column for column in _named(rows)}
    if keys is None:
        return list(named.values())
    return [named[key] if key in named else _field(key) for key in keys]


def check_keys(groups: Sequence[Sequence[Row]], keys: Iterable[str]) -> None:
    """Fail for a column that would be empty because nothing is called so.

    Args:
        groups: The rows of each protocol.
        keys: What was asked for.

    Raises:
        UsageError: If no row has a column, a metric or a field of that name.
    """
    known = list(dict.fromkeys(column.key for rows in groups for column in _named(rows)))
    rows = [row for group in groups for row in group]
    for key in keys:
        if key not in known and not any(_values(row, key) for row in rows):
            records = [record for row in rows for record in row.finished if record.evaluation]
            metrics = sorted({name for r in records if r.evaluation for name in r.evaluation.metrics})
            raise UsageError(
                f"column {key!r}: no record has it; there are {', '.join(known)}; the metrics "
                f"{', '.join(metrics)}; and every field of a record, such as config.batch_size or "
                "timing.training_seconds"
            )


def _values(row: Row, key: str) -> dict[int, Any]:
    """A metric, or the field at a dotted path, of each finished run that has it."""
    if "." not in key:
        return dict(row.by_seed(key))
    found = {}
    for record in row.finished:
        value = _at_path(record, key)
        if value is not None:
            found[record.identity.seed] = value
    return found


def _at_path(record: Record, path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return value if isinstance(value, str | int | float | bool) else None


def _field(key: str) -> Column:
    """A metric or a field by its name: mean ± std of numbers that differ, else what all have in common."""
    percent = 100 if key.rsplit(".", 1)[-1].startswith(ACCURACY_LIKE[:2]) else 1

    def value(row: Row) -> Value:
        values = list(_values(row, key).values())
        if not values:
            return None
        if any(isinstance(item, str | bool) for item in values):
            return ", ".join(sorted({str(item) for item in values}))
        return spread(values) if "." not in key or len(set(values)) > 1 else values[0]

    def text(row: Row) -> str:
        found = value(row)
        if found is None or isinstance(found, str):
            return found or NOTHING
        if isinstance(found, Spread):
            return spread_text(found, percent, digits=_digits(found, percent))
        return f"{found:,}" if isinstance(found, int) else f"{found:.6g}"

    title = key + (" %" if percent == 100 else "")
    if "." in key:
        return Column(key, title, value, text)
    return Column(key, title, value, text, _better(key), by_seed=lambda row: row.by_seed(key))


def _digits(value: Spread, scale: float) -> int:
    """Decimals that show two digits of the spread, or four of a mean without one."""
    size = scale * (value.std if value.std else abs(value.mean) / 100)
    return min(6, max(0, 1 - math.floor(math.log10(size)))) if size else 2
