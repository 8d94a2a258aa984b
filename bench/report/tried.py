"""What was tried on validation images when a paper's figure was missed: runs of profile ``tuning``, kept apart.

They lie in ``results/tuning/``, each a results folder of its own, and stand in no other table. Trials of
a search lie there too; ``bench tune --report`` tells of those.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.contract.searches import STUDY, tuning_folder
from bench.report.ablation import measure_of
from bench.report.reading import read_all
from bench.report.summary import Row, summarize
from bench.report.tables import NOTHING, grid, spread_text

TRIED = "tuning"  # the profile: all steps, scored on validation images


def read_tried(results: Path) -> tuple[list[Row], list[str]]:
    """The rows of all such folders but those of searches, and a line for each record that cannot be used."""
    rows: list[Row] = []
    problems: list[str] = []
    for folder in sorted(path for path in tuning_folder(results).glob("*") if not (path / STUDY).exists()):
        records, unreadable = read_all(folder)
        rows += tried_rows(summarize(records))
        problems += unreadable
    return rows, problems


def tried_rows(rows: Sequence[Row]) -> list[Row]:
    """Those that came to their end under the profile ``tuning``."""
    return [row for row in rows if row.first.protocol.profile == TRIED and row.finished]


def tried_grid(rows: Sequence[Row], table: str) -> str:
    """What one submission's runs had in their configs, where they differ, and how they ended.

    Accuracy and loss of train are means over the last tenth of the steps. A column that nothing has is left out.
    """
    measure = measure_of(rows[0])
    columns: dict[str, list[str]] = {"tried": [row.setting for row in rows]}
    for field in _varying(rows):
        columns[field] = [_value(row, field) for row in rows]
    columns["steps"] = [f"{row.steps:,}" for row in rows]
    columns[measure.title] = [spread_text(row.metric(measure.name), measure.scale) for row in rows]
    columns["as published"] = [
        spread_text(row.as_published(measure.published_name), measure.scale, with_n=False) for row in rows
    ]
    columns["train %"] = [spread_text(row.end_of_curve("accuracy"), 100, with_n=False) for row in rows]
    columns["train loss"] = [spread_text(row.end_of_curve("loss"), digits=3, with_n=False) for row in rows]
    shown = {title: cells for title, cells in columns.items() if set(cells) != {NOTHING}}
    return grid(list(shown), list(zip(*shown.values(), strict=True)), table)


def _varying(rows: Sequence[Row]) -> list[str]:
    """Fields of the config that a variant set, or in which those that have it differ, in their order.

    A field that only some have came with a later version of the code.
    """
    if len(rows) == 1:
        return []
    names = dict.fromkeys(name for row in rows for name in row.first.config)
    was_set = {name for row in rows for name in row.first.identity.overrides}
    return [name for name in names if name in was_set or len({_value(row, name) for row in rows} - {NOTHING}) > 1]


def _value(row: Row, name: str) -> str:
    config = row.first.config
    return json.dumps(config[name]) if name in config else NOTHING
