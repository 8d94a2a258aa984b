"""``bench ablate``: what each change does, paired by seed, beside what the paper reports for it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract.manifest import BASE_VARIANT, Claim
from bench.contract.records import Record
from bench.contract.tracks import OFFICIAL
from bench.errors import UsageError
from bench.report.summary import Row
from bench.report.tables import NOTHING, check_format, data_text, grid, heading, spread_text
from bench.stats.pairs import PairedDifference, paired_by_seed, paired_p_value
from bench.stats.spreads import Spread, spread
from bench.stats.student import holm


@dataclass(frozen=True)
class Measure:
    """A figure to compare by, and how it is printed."""

    name: str  # in a record's metrics
    published_name: str  # among the figures measured as the author did
    title: str
    scale: float  # percent of a fraction
    claim: str  # the field of Claims that holds the paper's

    def number(self, value: float, *, sign: bool = False) -> str:
        """``value`` as the table has it."""
        return f"{value * self.scale:{'+' if sign else ''}z.2f}"


def measure_of(row: Row) -> Measure:
    """Top-1 accuracy of a classifier, FID of a generator."""
    names = row.score_name, row.published_score_name
    if row.first.task == "classification":
        return Measure(*names, "top-1 %", 100, "top1_accuracy")
    return Measure(*names, f"FID@{row.first.protocol.samples}", 1, "fid")


@dataclass(frozen=True)
class Change:
    """One row: a variant against the base, measured in one of the two ways."""

    spread: Spread | None
    difference: PairedDifference | None  # of the seeds that both have
    significant: bool | None = None  # among all of the table; None where nothing can be tested


def values_by_seed(row: Row, measure: Measure, *, as_published: bool) -> dict[int, float]:
    """A figure of each finished run."""
    return row.by_seed(measure.published_name if as_published else measure.name, as_published=as_published)


def changes_against(base: Row, rows: Sequence[Row], measure: Measure, *, as_published: bool) -> list[Change]:
    """What each of ``rows`` has of a figure, and how it differs from ``base``, seed by seed.

    Which differences are significant is told by Holm's procedure over all of them.
    """
    theirs = values_by_seed(base, measure, as_published=as_published)
    values = [values_by_seed(row, measure, as_published=as_published) for row in rows]
    p_values = [
        None if row is base else paired_p_value(mine, theirs, base.grain)
        for row, mine in zip(rows, values, strict=True)
    ]
    rejected = iter(holm([p_value for p_value in p_values if p_value is not None]))
    return [
        Change(
            spread(list(mine.values())),
            None if row is base else paired_by_seed(mine, theirs),
            None if p_value is None else next(rejected),
        )
        for row, mine, p_value in zip(rows, values, p_values, strict=True)
    ]


def ordered_variants(rows: Sequence[Row], texts: dict[str, str]) -> tuple[Row, list[Row]]:
    """The base, and all rows with the base first, then as ``texts`` has them, then by name.

    Raises:
        UsageError: If the base has no record.
    """
    base = next((row for row in rows if row.first.identity.variant == BASE_VARIANT), None)
    if base is None:
        raise UsageError("the base has no record, and every variant is compared with it; run it first")
    order = {name: place for place, name in enumerate((BASE_VARIANT, *texts))}

    def key(row: Row) -> tuple[int, str]:
        variant = row.first.identity.variant
        return (order.get(variant, len(order)), variant)

    return base, sorted(rows, key=key)


def paper_difference(row: Row, base: Row, measure: Measure) -> float | None:
    """What the paper reports for the variant less what it reports for the base."""
    claim, base_claim = _claim(row.first, measure), _claim(base.first, measure)
    return None if row is base or claim is None or base_claim is None else claim.mean - base_claim.mean


def _difference_text(change: Change, measure: Measure) -> str:
    value = change.difference
    if value is None:
        return NOTHING
    text = measure.number(value.mean, sign=True)
    if value.low is not None and value.high is not None:
        text += f" [{measure.number(value.low, sign=True)}, {measure.number(value.high, sign=True)}]"
    return f"{text} (n={value.n})" + (" *" if change.significant else "")


def _claim(record: Record, measure: Measure) -> Claim | None:
    claim: Claim | None = getattr(record.claims, measure.claim)
    return claim


def _what(row: Row, base: Row, texts: dict[str, str]) -> str:
    if row is base:
        return "as submitted"
    variant = row.first.identity.variant
    return f"{texts[variant]} (`{variant}`)" if texts.get(variant) else f"`{variant}`"


def _marks(row: Row) -> str:
    """In what a variant leaves the contest, and how many of its runs failed."""
    marks = row.outside
    if len(row.finished) < len(row.records):
        marks.append(f"{len(row.records) - len(row.finished)} failed")
    return ", ".join(marks)


def ablation_text(rows: Sequence[Row], texts: dict[str, str], *, table: str = "simple") -> str:
    """The table of one submission's variants under one protocol.

    Args:
        rows: Of one submission, the base among them.
        texts: Variant -> the change in words, in the order of the table.
        table: One of ``FORMATS``.

    Raises:
        UsageError: If the base has no record, or the format is unknown.
    """
    check_format(table)
    base, rows = ordered_variants(rows, texts)
    if table == "json":
        return json.dumps(_data(rows, base), indent=1)
    titles, cells = ablation_cells(base, rows, texts)
    text = grid(titles, cells, table)
    return f"{heading(_title(base), table)}\n\n{text}\n\n{ablation_legend(base, rows)}"


def ablation_cells(base: Row, rows: Sequence[Row], texts: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of the table of ``rows``, in their order."""
    measure = measure_of(base)
    published = _has_published(rows, measure)
    ways = (False, True) if published else (False,)
    changes = zip(*(changes_against(base, rows, measure, as_published=way) for way in ways), strict=True)
    cells = [_cells(row, base, measure, texts, own) for row, own in zip(rows, changes, strict=True)]
    titles = ["change", "params", "steps", measure.title, "difference [95 %]"]
    if published:
        titles += ["as published", "difference [95 %]"]
    titles += ["paper", "difference"]
    if any(row[-1] for row in cells):
        titles.append("marks")
    else:
        cells = [row[:-1] for row in cells]
    return titles, cells


def _has_published(rows: Sequence[Row], measure: Measure) -> bool:
    return any(values_by_seed(row, measure, as_published=True) for row in rows)


def _cells(row: Row, base: Row, measure: Measure, texts: dict[str, str], changes: Sequence[Change]) -> list[str]:
    cost = row.first.cost
    cells = [_what(row, base, texts), f"{cost.params:,}" if cost else NOTHING, f"{row.steps:,}"]
    for change in changes:
        cells += [spread_text(change.spread, measure.scale), _difference_text(change, measure)]
    claim, difference = _claim(row.first, measure), paper_difference(row, base, measure)
    cells.append(NOTHING if claim is None else f"{claim.mean * measure.scale:.4g}")
    cells.append(NOTHING if difference is None else measure.number(difference, sign=True))
    return [*cells, _marks(row)]


def _title(base: Row) -> str:
    record = base.first
    protocol, name = record.protocol, record.identity.submission
    run = f"{name}, {protocol.profile}: {data_text(record)}, {protocol.steps:,} steps"
    return f"{run}, scored on {protocol.evaluate}"


def ablation_legend(base: Row, rows: Sequence[Row]) -> str:
    """What the table's figures are."""
    published = _has_published(rows, measure_of(base))
    lines = [
        "± is the standard deviation over seeds; a difference is the mean over the n seeds that both have, with "
        "its 95 % interval (paired t). *: significant at 5 % among all differences of its column (Holm)."
    ]
    record = base.first
    if published and record.as_published is not None:
        settings = record.as_published
        resize = ", FID with clean-fid's resize" if settings.resize == "clean" else ""
        lines.append(f"As published: measured in {settings.mode} mode at batch {settings.batch_size}{resize}.")
    if record.protocol.profile != OFFICIAL:
        lines.append(
            f"The paper's figures are of a full training; profile {record.protocol.profile} is a short one."
        )
    return "\n".join(lines)


def _data(rows: Sequence[Row], base: Row) -> dict[str, Any]:
    """Numbers as numbers: fractions, not percent."""
    measure = measure_of(base)
    changes = [changes_against(base, rows, measure, as_published=way) for way in (False, True)]
    return {
        "submission": base.first.identity.submission,
        "protocol": base.first.protocol.model_dump(mode="json"),
        "measure": measure.name,
        "rows": [_row_data(row, base, measure, own) for row, *own in zip(rows, *changes, strict=True)],
    }


def _row_data(row: Row, base: Row, measure: Measure, changes: Sequence[Change]) -> dict[str, Any]:
    claim = _claim(row.first, measure)
    data: dict[str, Any] = {
        "variant": row.first.identity.variant,
        "set": row.first.identity.overrides,
        "params": row.first.cost.params if row.first.cost else None,
        "steps": row.steps,
        "seeds": [record.identity.seed for record in row.finished],
        "paper": claim.mean if claim else None,
        "paper_difference": paper_difference(row, base, measure),
        "outside_of_contest": _marks(row),
    }
    for key, change in zip(("measured", "as_published"), changes, strict=True):
        data[key] = vars(change.spread) if change.spread else None
        data[f"{key}_difference"] = vars(change.difference) if change.difference else None
        data[f"{key}_significant"] = change.significant
    return data
