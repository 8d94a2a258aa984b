"""Experiments on validation images, made when a paper's claim was not met: runs of profile ``tuning``.

Each is a separate results folder in ``results/tuning/`` and appears in no other table. Studies of ``bench tune``
are in the same folder and are skipped here; ``bench tune --report`` shows them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.contract.metrics import CURVES
from bench.contract.searches import STUDY, tuning_folder
from bench.report.records.aggregate import Row, summarize
from bench.report.records.load import read_all
from bench.report.tables.text import MISSING, grid, spread_text

TRIED = "tuning"  # the profile: all steps, scored on validation images


def read_tried(results: Path) -> tuple[list[Row], list[str]]:
    """Return the rows of all such folders except studies, and a message per unusable record."""
    rows: list[Row] = []
    problems: list[str] = []
    for folder in sorted(path for path in tuning_folder(results).glob("*") if not (path / STUDY).exists()):
        records, unreadable = read_all(folder)
        rows += tried_rows(summarize(records))
        problems += unreadable
    return rows, problems


def tried_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the finished rows of profile ``tuning``."""
    return [row for row in rows if row.representative.protocol.profile == TRIED and row.finished]


def tried_grid(rows: Sequence[Row], table_format: str) -> str:
    """Return the table of one submission's experiments: the config fields that differ, and the results.

    Train accuracy and loss are means over the last 10 % of the steps. Empty columns are omitted.
    """
    score, published = rows[0].ranking_metric, rows[0].published_score
    columns: dict[str, list[str]] = {"variant": [row.setting for row in rows]}
    for field in _varying(rows):
        columns[field] = [_value(row, field) for row in rows]
    columns["steps"] = [f"{row.steps:,}" for row in rows]
    columns[score.title] = [spread_text(row.metric(score.name), score) for row in rows]
    columns["as published"] = [
        spread_text(row.as_published(published.name), published, with_n=False) for row in rows
    ]
    for curve in CURVES:
        columns[curve.title] = [spread_text(row.end_of_curve(curve.name), curve, with_n=False) for row in rows]
    shown = {title: cells for title, cells in columns.items() if set(cells) != {MISSING}}
    return grid(list(shown), list(zip(*shown.values(), strict=True)), table_format)


def _varying(rows: Sequence[Row]) -> list[str]:
    """Return the config fields that a variant sets or whose values differ, in the order of the config.

    A field that is missing from some rows was added in a later version of the code; that is no difference.
    """
    if len(rows) == 1:
        return []
    names = dict.fromkeys(name for row in rows for name in row.representative.config)
    was_set = {name for row in rows for name in row.representative.identity.overrides}
    return [name for name in names if name in was_set or len({_value(row, name) for row in rows} - {MISSING}) > 1]


def _value(row: Row, name: str) -> str:
    config = row.representative.config
    return json.dumps(config[name]) if name in config else MISSING
