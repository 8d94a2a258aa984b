"""How all plots look: readable in print, in grey, in the dark, and by the colour-blind.

Series differ in colour (Okabe and Ito's palette without its yellow, which is lost on white) and in marker or dash,
so that no reading hangs on colour alone. Nothing here uses pyplot: figures are objects, made and thrown away.
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

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
INK, PAPER = "#1b1c1d", "#fefefd"  # no plain black and white, so that a page can tell and replace them
WIDTH_INCHES, HEIGHT_INCHES = 6.4, 4.0
PNG_DPI = 200
FAINT = 0.55

SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
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
    "svg.hashsalt": "capbench",  # the same figure has the same bytes
}


def settings() -> AbstractContextManager[None]:
    """The settings, for as long as a figure is drawn or saved."""
    return mpl.rc_context(SETTINGS)


def new_figure(height_inches: float = HEIGHT_INCHES, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure with panels side by side; to be called within ``settings()``."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def colour(index: int) -> str:
    """The colour of a series."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Its marker."""
    return MARKERS[index % len(MARKERS)]


def dash(index: int) -> str:
    """Its dash; another one in the next round of colours."""
    return DASHES[(index + index // len(COLOURS)) % len(DASHES)]


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
    """Write the figure in the format that the path's ending names, atomically.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If there is no such format.
    """
    kind = path.suffix.removeprefix(".")
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with settings(), atomic_path(path) as partial:
        figure.savefig(partial, format=kind, dpi=PNG_DPI, metadata=metadata)


def inline_svg(figure: Figure, key: str) -> str:
    """The figure as an ``<svg>`` element for a page: its text is text, and its colours are the page's.

    Args:
        figure: What to draw.
        key: Unique within the page; it begins every id, so that two figures do not share any.
    """
    out = io.StringIO()
    with settings(), mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\sid=")', rf"\g<1>{key}-", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", text)
    text = text.replace(INK, "currentColor").replace(PAPER, "var(--ground)")
    for index, own in enumerate(COLOURS):
        text = text.replace(own.lower(), f"var(--series-{index})")
    # The page gives the width; the figure keeps its proportions, and a reader's own font is used.
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1, flags=re.DOTALL)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r'\1 aria-hidden="true" focusable="false"', text, count=1, flags=re.DOTALL
    )
    return re.sub(r"font: (\d+(?:\.\d+)?)px [^;\"]*", r"font: \1px var(--font)", text)
