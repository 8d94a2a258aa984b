"""Sheets of samples of several submissions side by side; nobody picked them."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from bench.contract.records import record_path
from bench.errors import UsageError
from bench.pictures import why_no_picture
from bench.report.plots.style import WIDTH_INCHES, settings
from bench.report.summary import Row

SHEET = "samples.png"
COLUMNS = 3


def sheet_of(row: Row, results: Path) -> Path | None:
    """The samples of the first finished seed, if they still lie beside its record."""
    for record in row.finished:
        path = record_path(results, record.identity, record.protocol).with_suffix("") / SHEET
        if path.exists() and why_no_picture(path) is None:
            return path
    return None


def samples_figure(rows: Sequence[Row], results: Path) -> Figure:
    """The samples of each row that has them, under its name and FID.

    Raises:
        UsageError: If no row has any.
    """
    found = [(row, sheet) for row in rows if (sheet := sheet_of(row, results)) is not None]
    if not found:
        raise UsageError(f"no {SHEET} lies beside a record in {results}; they stay where the run was made")
    columns = min(COLUMNS, len(found))
    lines = -(-len(found) // columns)
    with settings():
        figure = Figure(figsize=(WIDTH_INCHES, lines * (WIDTH_INCHES / columns + 0.35)), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, (row, sheet) in zip(panels, found, strict=False):
            with Image.open(sheet) as image:
                axes.imshow(image.convert("RGB"), interpolation="nearest")
            score = row.metric(row.score_name)
            axes.set_title(row.label + (f", FID {score.mean:.1f}" if score else ""), fontsize="small")
    return figure
