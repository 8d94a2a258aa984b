"""Output of comparisons: tables for people, CSV and JSON for programs."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.report.tables.comparison import ComparedRow, Comparison
from bench.report.tables.legend import legend_of
from bench.report.tables.table import Value
from bench.report.tables.terminal import fitted
from bench.report.tables.text import heading, remark, table_text
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread


def render(tables: Sequence[Comparison], table_format: str, width: int | None = None) -> str:
    """Return all tables in one of ``FORMATS``.

    Args:
        tables: The tables.
        table_format: A key of ``FORMATS``.
        width: Of the terminal that a table of the format ``simple`` should fit, in characters; None for any.
    """
    if table_format == "json":
        return json.dumps([comparison_data(item) for item in tables], indent=1)
    if table_format == "csv":
        return _csv(tables)
    if table_format == "simple" and width is not None:
        return _for_terminal(tables, width)
    parts = [titled(item, table_format) for item in tables]
    lines = legend_of(tables, "*" if table_format == "simple" else "Bold")
    return "\n\n".join([*parts, *(remark(line, table_format) for line in lines)])


def _for_terminal(tables: Sequence[Comparison], width: int) -> str:
    """Return the tables and their legend in lines of at most ``width`` characters, if that is possible."""
    pairs = [fitted(item, width) for item in tables]
    shown = [item for item, _ in pairs]
    lines = legend_of(shown, "*")
    left_out = dict.fromkeys(title for _, titles in pairs for title in titles)
    if left_out:
        lines.append(f"Left out for want of room: {', '.join(left_out)}. A wider window or --columns shows them.")
    legends = [textwrap.fill(remark(line, "simple"), width) for line in lines]
    return "\n\n".join([*(titled(item, "simple") for item in shown), *legends])


def titled(item: Comparison, table_format: str) -> str:
    """Return one table below its title."""
    return f"{heading(item.title, table_format)}\n\n{table_text(item.table(), table_format)}"


def _csv(tables: Sequence[Comparison]) -> str:
    """Return all rows as CSV: values in full precision, with ``_std`` and ``_n`` in separate columns."""
    lines = []
    for item in tables:
        protocol = item.protocol
        start: dict[str, Any] = {"track": protocol.track, "profile": protocol.profile, "data": protocol.data}
        for row in item.rows:
            line = dict(start)
            for column in item.columns:
                values = _flat(column.key, row.cells[column.key].value)
                line |= {name: _no_formula(value) for name, value in values.items()}
            lines.append(line)
    names = _merged([list(line) for line in lines])
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
    """Prefix text that a spreadsheet would execute as a formula with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _merged(lists: Sequence[list[str]]) -> list[str]:
    """Merge lists of names: every name once, at its position in the list that adds it."""
    merged: list[str] = []
    for names in lists:
        position = 0
        for name in names:
            if name in merged:
                position = merged.index(name) + 1
            else:
                merged.insert(position, name)
                position += 1
    return merged


def comparison_data(item: Comparison) -> dict[str, Any]:
    """Return a table as JSON data: accuracies as fractions, null for missing values."""
    return {
        "protocol": item.protocol.model_dump(mode="json"),
        "protocol_hash": item.protocol.hash,
        "best_by": item.marked,
        "rows": [_row_data(row) for row in item.rows],
    }


def _row_data(item: ComparedRow) -> dict[str, Any]:
    row, record = item.row, item.row.representative
    metrics = {name for r in row.finished if r.evaluation for name in r.evaluation.metrics}
    published = {name for r in row.finished if r.evaluation for name in r.evaluation.as_published}
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
        "inference_noisy": row.noisy,
        "device": record.environment.get("device"),
        "metrics": {name: _plain(row.metric(name)) for name in sorted(metrics)},
        "as_published": {name: _plain(row.as_published(name)) for name in sorted(published)},
        "columns": {key: _plain(cell.value) for key, cell in item.cells.items()},
        "best_in": [key for key, cell in item.cells.items() if cell.best],
        "claims": record.claims.model_dump(mode="json", exclude_none=True),
        "status": row.status,
        "reason": row.reason or None,
        "ranked": record.ranked,
    }


def _plain(value: Value) -> Any:
    return asdict(value) if isinstance(value, Spread | PairedDifference) else value
