"""The style of all plots: readable in print, in greyscale, in dark mode, and with colour blindness.

Series differ in colour (the Okabe-Ito palette without yellow, which has too little contrast on white) and in
marker or dash, so that colour is never the only difference. Figures are created without pyplot, which would keep
them in memory.
"""

import io
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.files import atomic_path
from bench.text import beginning

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
INK, PAPER = "#1b1c1d", "#fefefd"  # foreground, background; unique values that ``inline_svg`` can replace
WIDTH_INCHES, HEIGHT_INCHES = 6.4, 4.0
PNG_DPI = 200
FAINT = 0.55
LONGEST_LABEL = 28  # characters

SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib: identical plots on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 6,
    "svg.hashsalt": "capbench",  # deterministic ids
}


def settings() -> AbstractContextManager[None]:
    """Return a context manager with the settings, for drawing and saving figures."""
    return mpl.rc_context(SETTINGS)


def new_figure(height_inches: float = HEIGHT_INCHES, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its panels in one row; call it within ``settings()``."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def colour(index: int) -> str:
    """Return the colour of a series."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker of a series."""
    return MARKERS[index % len(MARKERS)]


def dash(index: int) -> str:
    """Return the dash of a series; it differs when the colour repeats."""
    return DASHES[(index + index // len(COLOURS)) % len(DASHES)]


def short(label: str) -> str:
    """Return the beginning of a long name, for a place in a plot; tables have all of it."""
    return beginning(label, LONGEST_LABEL)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png``, atomically.

    Raises:
        OSError: If the folder cannot be written.
    """
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    for path in paths:
        save_as(figure, path)
    return paths


def save_as(figure: Figure, path: Path) -> None:
    """Write the figure atomically, in the format of the path's extension.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If the extension is not a format of matplotlib.
    """
    kind = path.suffix.removeprefix(".")
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with settings(), atomic_path(path) as partial:
        figure.savefig(partial, format=kind, dpi=PNG_DPI, metadata=metadata)


def inline_svg(figure: Figure, key: str) -> str:
    """Return the figure as an ``<svg>`` element that uses text elements and the page's CSS colours.

    Args:
        figure: The figure.
        key: A prefix for all ids, unique within the page.
    """
    out = io.StringIO()
    with settings(), mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\sid=")', rf"\g<1>{key}-", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", text)
    text = text.replace(INK, "currentColor").replace(PAPER, "var(--background)")
    for index, series_colour in enumerate(COLOURS):
        text = text.replace(series_colour.lower(), f"var(--series-{index})")
    # The page sets the width and the font; the viewBox keeps the proportions.
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1, flags=re.DOTALL)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r'\1 aria-hidden="true" focusable="false"', text, count=1, flags=re.DOTALL
    )
    return re.sub(r"font: (\d+(?:\.\d+)?)px [^;\"]*", r"font: \1px var(--font)", text)
