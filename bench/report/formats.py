"""A comparison as text: tables for people, CSV and JSON for programs."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.report.columns import Column, Value
from bench.report.comparison import Comparison
from bench.report.summary import Row
from bench.report.tables import bold, grid, heading, remark
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread

BEST = (
    "the best of a column, together with all that are not shown to be worse than another (t tests of all pairs, "
    "by seed where the seeds are the same; Holm, 5 %)."
)


def render(tables: Sequence[Comparison], table: str) -> str:
    """All tables in one of ``FORMATS``."""
    if table == "json":
        return json.dumps([comparison_data(item) for item in tables], indent=1)
    if table == "csv":
        return _csv(tables)
    text = "\n\n".join(titled(item, table) for item in tables)
    marked = any(label for item in tables for label in item.best.values())
    sign = "*" if table == "simple" else "Bold"
    return f"{text}\n\n{remark(f'{sign}: {BEST}', table)}" if marked else text


def titled(item: Comparison, table: str) -> str:
    """One table under its title."""
    cells = [[_cell(item, column, row) for column in item.columns] for row in item.rows]
    return f"{heading(item.title, table)}\n\n{grid([c.title for c in item.columns], cells, table)}"


def _cell(item: Comparison, column: Column, row: Row) -> str:
    text = column.text(row)
    return bold(text) if row.key in item.best[column.key] else text


def _csv(tables: Sequence[Comparison]) -> str:
    """One line a row of all tables: numbers as records have them, a mean's ``_std`` and ``_n`` beside it."""
    lines = []
    for item in tables:
        protocol = item.protocol
        start: dict[str, Any] = {"track": protocol.track, "profile": protocol.profile, "data": protocol.data}
        for row in item.rows:
            line = dict(start)
            for column in item.columns:
                line |= {name: _no_formula(value) for name, value in _flat(column.key, column.value(row)).items()}
            lines.append(line)
    names = _in_order([list(line) for line in lines])
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().rstrip("\n")


def _flat(key: str, value: Value) -> dict[str, Any]:
    if isinstance(value, Spread | PairedDifference):
        parts = asdict(value)
        return {key: parts.pop("mean"), **{f"{key}_{name}": part for name, part in parts.items()}}
    return {key: value}


def _no_formula(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, quoted as spreadsheets quote text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _in_order(lists: Sequence[list[str]]) -> list[str]:
    """Every name once: each list's own go where that list has them."""
    names: list[str] = []
    for own in lists:
        at = 0
        for name in own:
            if name in names:
                at = names.index(name) + 1
            else:
                names.insert(at, name)
                at += 1
    return names


def comparison_data(item: Comparison) -> dict[str, Any]:
    """Numbers as numbers, for other programs: fractions, not percent; null for what is not there."""
    return {
        "protocol": item.protocol.model_dump(mode="json"),
        "protocol_hash": item.protocol.hash,
        "rows": [_row_data(item, row) for row in item.rows],
    }


def _row_data(item: Comparison, row: Row) -> dict[str, Any]:
    record = row.first
    names = sorted({name for r in row.finished if r.evaluation for name in r.evaluation.metrics})
    published = sorted({name for r in row.finished if r.evaluation for name in r.evaluation.as_published})
    return {
        "submission": record.identity.submission,
        "variant": record.identity.variant,
        "seeds": [r.identity.seed for r in row.records],
        "records": [r.checksum for r in row.records],
        "params": record.cost.params if record.cost else None,
        "params_claimed": record.claims.params,
        "macs_per_image": record.cost.macs_per_image if record.cost else None,
        "steps": row.steps,
        "inference_images_per_s": row.images_per_s,
        "inference_disturbed": row.disturbed,
        "device": record.environment.get("device"),
        "metrics": {name: _plain(row.metric(name)) for name in names},
        "as_published": {name: _plain(row.as_published(name)) for name in published},
        "columns": {column.key: _plain(column.value(row)) for column in item.columns},
        "best_in": [column.key for column in item.columns if row.key in item.best[column.key]],
        "claims": record.claims.model_dump(mode="json", exclude_none=True),
        "status": row.status,
        "ranked": record.ranked,
    }


def _plain(value: Value) -> Any:
    return asdict(value) if isinstance(value, Spread | PairedDifference) else value
