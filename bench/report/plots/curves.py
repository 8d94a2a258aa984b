"""Training curves: the mean over seeds, and a band of one standard deviation around it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.report.plots.style import colour, dash, new_figure, settings
from bench.report.summary import Row


@dataclass(frozen=True)
class Band:
    """One curve over the steps at which all seeds logged it."""

    steps: NDArray[np.float64]  # ends of the windows that values are means over
    mean: NDArray[np.float64]
    std: NDArray[np.float64] | None  # over seeds, ddof = 1; None for a single seed
    n: int


def names_of(rows: Sequence[Row]) -> list[str]:
    """What the trainings of ``rows`` logged, the most frequent first."""
    curves = [r.training.curves.values for row in rows for r in row.finished if r.training]
    found = [
        name for values in curves for name, means in values.items() if any(mean is not None for mean in means)
    ]
    return sorted(dict.fromkeys(found), key=lambda name: -found.count(name))


def band_of(row: Row, name: str) -> Band | None:
    """What ``row``'s seeds logged under ``name``; None if none did."""
    curves = [curve for r in row.finished if r.training and (curve := dict(r.training.curves.of(name)))]
    shared = sorted(set.intersection(*map(set, curves))) if curves else []
    if not shared:
        return None
    values = np.array([[curve[step] for step in shared] for curve in curves])
    std = values.std(axis=0, ddof=1) if len(curves) > 1 else None
    return Band(np.array(shared, float), values.mean(axis=0), std, len(curves))


def draw_band(axes: Axes, band: Band, index: int, label: str) -> None:
    """One series."""
    axes.plot(band.steps, band.mean, dash(index), color=colour(index), label=f"{label} (n={band.n})")
    if band.std is not None:
        low, high = band.mean - band.std, band.mean + band.std
        axes.fill_between(band.steps, low, high, color=colour(index), alpha=0.2, linewidth=0)


def curves_figure(rows: Sequence[Row], names: Sequence[str] | None = None) -> Figure:
    """A panel for each name, a line for each row.

    Args:
        rows: Rows of any protocol; those that have not logged a name are left out of its panel.
        names: What to draw; None for what most rows logged, at most two.

    Raises:
        UsageError: If no row has logged one of the names.
    """
    known = names_of(rows)
    chosen = list(names) if names else known[:2]
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise UsageError(
            f"no training has logged {', '.join(unknown) or 'anything'}; there is {', '.join(known) or 'nothing'}"
        )
    with settings():
        figure, panels = new_figure(3.2, columns=len(chosen))
        for axes, name in zip(panels, chosen, strict=True):
            for index, row in enumerate(rows):
                band = band_of(row, name)
                if band is not None:
                    draw_band(axes, band, index, row.label)
            axes.set(xlabel="training step", title=name)
            axes.margins(x=0.01)
            axes.legend(fontsize="small")
    return figure
