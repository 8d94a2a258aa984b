"""``bench compare``: the table of submissions, from records alone."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.contract.tracks import OFFICIAL
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.summary import Row, read_all, summarize
from bench.report.tables import FORMATS, NOTHING, data_text, heading, spread_text

HIGHER_IS_BETTER = {"classification": True, "generation": False}


def _params(row: Row) -> str:
    cost, claim = row.first.cost, row.first.claims.params
    if cost is None:
        return NOTHING
    if claim is None:
        return f"{cost.params:,}"
    return f"{cost.params:,} =" if claim == cost.params else f"{cost.params:,} (paper {claim:,})"


def _speed(row: Row) -> str:
    return NOTHING if row.images_per_s is None else f"{row.images_per_s:,.0f} ({_device(row)})"


def _device(row: Row) -> str:
    """What the speed was measured on."""
    environment = row.first.environment
    threads = f", {environment['threads']} thr" if environment.get("device_type") == "cpu" else ""
    return f"{environment.get('device')}{threads}"


def _common_device(group: list[Row]) -> str | None:
    """The device of all rows that have a speed, if it is one: then it stands in the title, once."""
    devices = {_device(row) for row in group if row.images_per_s is not None}
    return devices.pop() if len(devices) == 1 else None


def _paper(row: Row) -> str:
    record = row.first
    if record.protocol.profile != OFFICIAL or (record.data and record.data.stand_in_for):
        return NOTHING  # a paper's figure says nothing beside a shorter training or other images
    claims, task = record.claims, record.task
    claim = claims.top1_accuracy if task == "classification" else claims.fid
    if claim is None:
        return NOTHING
    percents = task == "classification"
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
    found = [r.evaluation.as_published.get(name) for r in row.finished if r.evaluation]
    best = (max if classifies else min)(figure for figure in found if figure is not None)
    return f"{percent * best:.2f} (best of n={value.n}){resized}"


def _score(row: Row) -> str:
    percent = 100 if row.first.task == "classification" else 1
    return spread_text(row.metric(row.score_name), percent)


def _figure(name: str, scale: float, digits: int = 2) -> Callable[[Row], str]:
    """Mean ± std of a metric; ``N`` in its name stands for the protocol's number of samples."""

    def cell(row: Row) -> str:
        value = row.metric(name.replace("N", str(row.first.protocol.samples)))
        return NOTHING if value is None else spread_text(value, scale, digits=digits, with_n=False)

    return cell


@dataclass(frozen=True)
class Column:
    """One column: its name, its cell, and whether it is left out where nothing stands in it."""

    name: str
    cell: Callable[[Row], str]
    optional: bool = False

    def title(self, row: Row) -> str:
        """What the column is called in a table of ``row``'s protocol."""
        protocol = row.first.protocol
        if self.name == "score":
            name = "top-1 %" if row.first.task == "classification" else f"FID@{protocol.samples}"
            return f"{name} ({protocol.evaluate})"
        return self.name.replace("@N", f"@{protocol.samples}")


COST = (
    Column("submission", lambda row: row.label),
    Column("params", _params),
    Column("MMACs", lambda row: f"{row.first.cost.macs_per_image / 1e6:.2f}" if row.first.cost else NOTHING),
    Column("images/s", _speed),
    Column("score", _score),
)
REST = (
    Column("paper", _paper, optional=True),
    Column("steps", lambda row: f"{row.steps:,}" if row.steps else NOTHING),
    Column("status", lambda row: row.status),
)
COLUMNS = {
    "classification": (*COST, Column("as published %", _as_published, optional=True), *REST),
    "generation": (
        *COST,
        Column("FID∞", _figure("fid_infinity_from_N", 1), optional=True),
        Column("KID@N ×1000", _figure("kid_N", 1000), optional=True),
        Column("precision", _figure("precision_N", 1, 3), optional=True),
        Column("recall", _figure("recall_N", 1, 3), optional=True),
        Column("LPIPS alex", _figure("lpips_alex_64", 1, 3), optional=True),
        Column("nearest train", _figure("nearest_train_lpips_alex_64", 1, 3), optional=True),
        Column("nearer %", _figure("nearer_than_held_out", 100, 1), optional=True),
        Column("as published FID", _as_published, optional=True),
        *REST,
    ),
}


def _sort_key(row: Row, key: str) -> tuple[Any, ...]:
    """Best first; what has no value comes last."""
    cost = row.first.cost
    if key == "name":
        return (row.label,)
    if key == "params":
        return (cost is None, cost.params if cost else 0, row.label)
    if key == "macs":
        return (cost is None, cost.macs_per_image if cost else 0, row.label)
    if key == "images_per_s":
        return (row.images_per_s is None, -(row.images_per_s or 0.0), row.label)
    value = row.metric(row.score_name)
    sign = -1 if HIGHER_IS_BETTER[row.first.task] else 1
    return (value is None, sign * value.mean if value else 0.0, row.label)


SORT_KEYS = ("score", "params", "macs", "images_per_s", "name")


def comparison_text(rows: list[Row], *, table: str = "simple", sort: str = "score") -> str:
    """The tables of all protocols in ``rows``, one after another; never two protocols in one table.

    Raises:
        UsageError: If the format or the sort key is unknown.
    """
    if table not in FORMATS:
        raise UsageError(f"--table {table!r}: give {', '.join(FORMATS)}")
    if sort not in SORT_KEYS:
        raise UsageError(f"--sort {sort!r}: give {', '.join(SORT_KEYS)}")

    def protocol_key(row: Row) -> tuple[Any, ...]:
        protocol = row.first.protocol
        return (protocol.track, protocol.profile != OFFICIAL, protocol.profile, protocol.hash)

    ordered = sorted(rows, key=lambda row: (*protocol_key(row), *_sort_key(row, sort)))
    groups = [list(group) for _, group in groupby(ordered, key=protocol_key)]
    if table == "json":
        return json.dumps([_group_data(group) for group in groups], indent=1, ensure_ascii=False)
    if table == "csv":
        return _csv(groups)
    return "\n\n".join(_titled(group, table) for group in groups)


def _cells(group: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells, without those columns of comparison in which nothing stands."""
    columns = COLUMNS[group[0].first.task]
    titles = [column.title(group[0]) for column in columns]
    cells = [[column.cell(row) for column in columns] for row in group]
    device = _common_device(group)
    if device is not None:
        cells = [[cell.removesuffix(f" ({device})") for cell in row] for row in cells]
    filled = [index for index, column in enumerate(columns) if not column.optional or _any(cells, index)]
    return [titles[index] for index in filled], [[row[index] for index in filled] for row in cells]


def _any(cells: list[list[str]], index: int) -> bool:
    return any(row[index] != NOTHING for row in cells)


def _title(group: list[Row]) -> str:
    record = group[0].first
    protocol = record.protocol
    device = _common_device(group)
    speed = "" if device is None else f"; images/s on {device}"
    return f"{protocol.track}, {protocol.profile}: {data_text(record)}, {protocol.steps:,} steps{speed}"


def _titled(group: list[Row], table: str) -> str:
    titles, cells = _cells(group)
    text = tabulate(cells, headers=titles, tablefmt=FORMATS[table], disable_numparse=True)
    return f"{heading(_title(group), table)}\n\n{text}"


def _csv(groups: list[list[Row]]) -> str:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    tasks = {row.first.task for group in groups for row in group}
    cells = {column.name: column for task in sorted(tasks) for column in COLUMNS[task]}
    writer.writerow(["track", "profile", "data", *cells])
    for group in groups:
        protocol, own = group[0].first.protocol, COLUMNS[group[0].first.task]
        for row in group:
            found = [column.cell(row) if column in own else "" for column in cells.values()]
            writer.writerow([protocol.track, protocol.profile, protocol.data, *found])
    return out.getvalue().rstrip("\n")


def _group_data(group: list[Row]) -> dict[str, Any]:
    """Numbers as numbers, for other programs: fractions, not percent; null for what is not there."""
    return {
        "protocol": group[0].first.protocol.model_dump(mode="json"),
        "protocol_hash": group[0].first.protocol.hash,
        "rows": [_row_data(row) for row in group],
    }


def _row_data(row: Row) -> dict[str, Any]:
    record = row.first
    names = sorted({name for item in row.finished if item.evaluation for name in item.evaluation.metrics})
    return {
        "submission": record.identity.submission,
        "variant": record.identity.variant,
        "seeds": [item.identity.seed for item in row.records],
        "params": record.cost.params if record.cost else None,
        "params_claimed": record.claims.params,
        "macs_per_image": record.cost.macs_per_image if record.cost else None,
        "inference_images_per_s": row.images_per_s,
        "device": record.environment.get("device"),
        "metrics": {name: vars(row.metric(name)) for name in names if row.metric(name)},
        "claims": record.claims.model_dump(mode="json", exclude_none=True),
        "status": row.status,
        "ranked": record.ranked,
    }


def compare_command(results: Path, *, table: str, track: str | None, sort: str) -> ExitCode:
    """Print the comparison of all records under ``results``.

    Raises:
        NothingToDo: If there is no record.
        UsageError: If an option is wrong.
    """
    records, problems = read_all(results)
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    tracks = sorted({record.protocol.track for record in records})
    if track is not None:
        if records and track not in tracks:
            raise UsageError(f"--track {track!r}: the records are of {', '.join(tracks)}")
        records = [record for record in records if record.protocol.track == track]
    if not records:
        raise NothingToDo(f"{results}: no records; `bench run` makes them")
    print(comparison_text(summarize(records), table=table, sort=sort))
    return ExitCode.USAGE if problems else ExitCode.OK
