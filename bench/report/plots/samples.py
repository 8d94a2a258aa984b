"""Uncurated samples of several submissions, side by side."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from bench.contract.records.files import record_path
from bench.errors import UsageError
from bench.pictures import why_no_picture
from bench.report.plots.style import WIDTH_INCHES, settings, short
from bench.report.records.aggregate import Row

SHEET = "samples.png"
COLUMNS = 3


def sheet_of(row: Row, results: Path) -> Path | None:
    """Return the sample sheet of the first finished seed that has one; None if there is none."""
    for record in row.finished:
        path = record_path(results, record.identity, record.protocol).with_suffix("") / SHEET
        if path.exists() and why_no_picture(path) is None:
            return path
    return None


def samples_figure(rows: Sequence[Row], results: Path) -> Figure:
    """Plot the sample sheet of each row that has one, below its name and its score.

    Raises:
        UsageError: If no row has one.
    """
    sheets = [(row, sheet) for row in rows if (sheet := sheet_of(row, results)) is not None]
    if not sheets:
        raise UsageError(f"{results}: no record has a {SHEET}; samples are kept only where the run was made")
    columns = min(COLUMNS, len(sheets))
    lines = -(-len(sheets) // columns)
    with settings():
        figure = Figure(figsize=(WIDTH_INCHES, lines * (WIDTH_INCHES / columns + 0.35)), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, (row, sheet) in zip(panels, sheets, strict=False):
            with Image.open(sheet) as image:
                axes.imshow(image.convert("RGB"), interpolation="nearest")
            axes.set_title(short(row.label) + _score(row), fontsize="small")
    return figure


def _score(row: Row) -> str:
    """Return ``, FID 47.3``: one digit fewer than in tables; empty without a score."""
    metric = row.ranking_metric
    score = row.metric(metric.name)
    if score is None:
        return ""
    unit = f" ×{metric.scale:g}" if metric.scale != 1 else ""
    return f", {metric.label}{unit} {metric.scale * score.mean:.{metric.digits - 1}f}"
