"""``bench ablate``: the effect of each change, paired by seed, next to the effect that the paper reports."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract.manifest import BASE_VARIANT, Claim
from bench.contract.tracks import OFFICIAL
from bench.errors import UsageError
from bench.report.records.aggregate import Row
from bench.report.tables.text import (
    MISSING,
    check_format,
    data_text,
    difference_text,
    grid,
    heading,
    spread_text,
    value_text,
)
from bench.stats.pairs import PairedDifference, paired_by_seed, paired_p_value
from bench.stats.spreads import Spread, spread
from bench.stats.student import holm


@dataclass(frozen=True)
class AblationChange:
    """A variant compared with the base, by the harness's evaluation or as published."""

    spread: Spread | None
    difference: PairedDifference | None  # from the base, over the common seeds
    significant: bool | None = None  # corrected for all differences of the table; None if not testable


def values_by_seed(row: Row, *, as_published: bool) -> dict[int, float]:
    """Map each seed to the score of its finished run, by the harness's evaluation or as published."""
    metric = row.published_score if as_published else row.ranking_metric
    return row.by_seed(metric.name, as_published=as_published)


def changes_against(base: Row, rows: Sequence[Row], *, as_published: bool) -> list[AblationChange]:
    """Return the score of each of ``rows`` and its difference from ``base``, paired by seed.

    Significance is corrected for all rows by Holm's procedure.
    """
    base_values = values_by_seed(base, as_published=as_published)
    grain = base.grain(base.published_score if as_published else base.ranking_metric)
    values = [values_by_seed(row, as_published=as_published) for row in rows]
    p_values = [
        None if row is base else paired_p_value(row_values, base_values, grain)
        for row, row_values in zip(rows, values, strict=True)
    ]
    rejected = iter(holm([p_value for p_value in p_values if p_value is not None]))
    return [
        AblationChange(
            spread(list(row_values.values())),
            None if row is base else paired_by_seed(row_values, base_values),
            None if p_value is None else next(rejected),
        )
        for row, row_values, p_value in zip(rows, values, p_values, strict=True)
    ]


def ordered_variants(rows: Sequence[Row], texts: dict[str, str]) -> tuple[Row, list[Row]]:
    """Return the base, and all rows: the base first, then in the order of ``texts``, then by name.

    Raises:
        UsageError: If the base has no record.
    """
    base = next((row for row in rows if row.representative.identity.variant == BASE_VARIANT), None)
    if base is None:
        raise UsageError("the base has no record, but variants are compared with it; run it first")
    order = {name: position for position, name in enumerate((BASE_VARIANT, *texts))}

    def key(row: Row) -> tuple[int, str]:
        variant = row.representative.identity.variant
        return (order.get(variant, len(order)), variant)

    return base, sorted(rows, key=key)


def paper_difference(row: Row, base: Row) -> float | None:
    """Return the paper's value for the variant minus its value for the base, both of the claimed score."""
    claim, base_claim = _claim(row), _claim(base)
    return None if row is base or claim is None or base_claim is None else claim.mean - base_claim.mean


def _claim(row: Row) -> Claim | None:
    claim: Claim | None = getattr(row.claims, row.claimed_score.key)
    return claim


def _change(row: Row, base: Row, texts: dict[str, str]) -> str:
    if row is base:
        return "none (base)"
    variant = row.representative.identity.variant
    return f"{texts[variant]} (`{variant}`)" if texts.get(variant) else f"`{variant}`"


def _notes(row: Row) -> str:
    """Return a variant's cap violations and its number of failed runs."""
    notes = list(row.cap_violations)
    if len(row.finished) < len(row.records):
        notes.append(f"{len(row.records) - len(row.finished)} failed")
    return ", ".join(notes)


def ablation_text(rows: Sequence[Row], texts: dict[str, str], *, table_format: str = "simple") -> str:
    """Return the table of one submission's variants under one protocol.

    Args:
        rows: Rows of one submission, including the base.
        texts: Variant -> description of the change, in the order of the table.
        table: One of ``FORMATS`` except csv.

    Raises:
        UsageError: If the base has no record, or the format is unknown.
    """
    check_format(table_format)
    base, rows = ordered_variants(rows, texts)
    if table_format == "json":
        return json.dumps(_data(rows, base), indent=1)
    titles, cells = ablation_cells(base, rows, texts)
    text = grid(titles, cells, table_format)
    return f"{heading(_title(base), table_format)}\n\n{text}\n\n{ablation_legend(base, rows)}"


def ablation_cells(base: Row, rows: Sequence[Row], texts: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Return the column titles and the cells of ``rows``, in their order."""
    published = _has_published(rows)
    evaluations = (False, True) if published else (False,)
    changes = zip(
        *(changes_against(base, rows, as_published=evaluation) for evaluation in evaluations), strict=True
    )
    cells = [_cells(row, base, texts, row_changes) for row, row_changes in zip(rows, changes, strict=True)]
    titles = ["change", "params", "steps", base.ranking_metric.title, "difference [95 %]"]
    of = "" if base.ranks_by_claimed else f" {base.claimed_score.title}"
    if published:
        titles += [f"as published{of}", "difference [95 %]"]
    titles += [f"paper{of}", "difference"]
    if any(row[-1] for row in cells):
        titles.append("notes")
    else:
        cells = [row[:-1] for row in cells]
    return titles, cells


def _has_published(rows: Sequence[Row]) -> bool:
    return any(values_by_seed(row, as_published=True) for row in rows)


def _cells(row: Row, base: Row, texts: dict[str, str], changes: Sequence[AblationChange]) -> list[str]:
    cost, claimed = row.representative.cost, base.claimed_score
    cells = [_change(row, base, texts), f"{cost.params:,}" if cost else MISSING, f"{row.steps:,}"]
    for change, score in zip(changes, (base.ranking_metric, claimed), strict=False):
        star = " *" if change.significant else ""
        cells += [spread_text(change.spread, score), difference_text(change.difference, score) + star]
    claim, difference = _claim(row), paper_difference(row, base)
    cells.append(MISSING if claim is None else f"{claim.mean * claimed.scale:.4g}")
    cells.append(MISSING if difference is None else value_text(difference, claimed, sign=True))
    return [*cells, _notes(row)]


def _title(base: Row) -> str:
    record = base.representative
    protocol, name = record.protocol, record.identity.submission
    run = f"{name}, {protocol.profile}: {data_text(record)}, {protocol.steps:,} steps"
    return f"{run}, scored on {protocol.evaluate}"


def ablation_legend(base: Row, rows: Sequence[Row]) -> str:
    """Return the explanation of the table's columns."""
    published = _has_published(rows)
    lines = [
        "± is the standard deviation over seeds. A difference is the mean over the n common seeds with its 95 % "
        "interval (paired t). *: significant at 5 %, Holm-corrected for all differences of the column."
    ]
    record = base.representative
    if published and record.as_published is not None:
        settings = record.as_published
        resize = ", FID with clean-fid's resize" if settings.resize == "clean" else ""
        lines.append(
            f"As published: measured in {settings.mode} mode at batch size {settings.batch_size}{resize}."
        )
    if record.protocol.profile != OFFICIAL:
        lines.append(
            f"The paper's values are of full trainings; profile {record.protocol.profile} trains for fewer steps."
        )
    return "\n".join(lines)


def _data(rows: Sequence[Row], base: Row) -> dict[str, Any]:
    """Return the table as JSON data; accuracies are fractions."""
    changes = [changes_against(base, rows, as_published=as_published) for as_published in (False, True)]
    return {
        "submission": base.representative.identity.submission,
        "protocol": base.representative.protocol.model_dump(mode="json"),
        "measure": base.ranking_metric.name,
        "rows": [_row_data(row, base, row_changes) for row, *row_changes in zip(rows, *changes, strict=True)],
    }


def _row_data(row: Row, base: Row, changes: Sequence[AblationChange]) -> dict[str, Any]:
    claim = _claim(row)
    data: dict[str, Any] = {
        "variant": row.representative.identity.variant,
        "set": row.representative.identity.overrides,
        "params": row.representative.cost.params if row.representative.cost else None,
        "steps": row.steps,
        "seeds": [record.identity.seed for record in row.finished],
        "paper": claim.mean if claim else None,
        "paper_difference": paper_difference(row, base),
        "outside_of_contest": _notes(row),
    }
    for key, change in zip(("measured", "as_published"), changes, strict=True):
        data[key] = vars(change.spread) if change.spread else None
        data[f"{key}_difference"] = vars(change.difference) if change.difference else None
        data[f"{key}_significant"] = change.significant
    return data
