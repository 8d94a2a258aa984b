"""Training curves: the mean over seeds with a band of one standard deviation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.report.plots.style import colour, dash, new_figure, settings, short
from bench.report.records.aggregate import Row


@dataclass(frozen=True)
class Band:
    """One curve, at the steps at which all seeds logged it."""

    steps: NDArray[np.float64]  # last step of the window that a value is averaged over
    mean: NDArray[np.float64]
    std: NDArray[np.float64] | None  # over seeds, ddof = 1; None for a single seed
    n: int


def names_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of all curves logged by ``rows``, the most frequent first."""
    curves = [r.training.curves.values for row in rows for r in row.finished if r.training]
    names = [
        name for values in curves for name, means in values.items() if any(mean is not None for mean in means)
    ]
    return sorted(dict.fromkeys(names), key=lambda name: -names.count(name))


def band_of(row: Row, name: str) -> Band | None:
    """Return the band of the curve ``name`` over the row's seeds; None if no step is common to them."""
    curves = [curve for r in row.finished if r.training and (curve := dict(r.training.curves.of(name)))]
    shared = sorted(set.intersection(*map(set, curves))) if curves else []
    if not shared:
        return None
    values = np.array([[curve[step] for step in shared] for curve in curves])
    std = values.std(axis=0, ddof=1) if len(curves) > 1 else None
    return Band(np.array(shared, float), values.mean(axis=0), std, len(curves))


def draw_band(axes: Axes, band: Band, index: int, label: str) -> None:
    """Draw one curve and its band."""
    axes.plot(band.steps, band.mean, dash(index), color=colour(index), label=f"{label} (n={band.n})")
    if band.std is not None:
        low, high = band.mean - band.std, band.mean + band.std
        axes.fill_between(band.steps, low, high, color=colour(index), alpha=0.2, linewidth=0)


def curves_figure(rows: Sequence[Row], names: Sequence[str] | None = None) -> Figure:
    """Plot one panel per curve name, with one line per row.

    Args:
        rows: Rows of any protocol; a row is omitted from the panel of a curve that it did not log.
        names: Names of curves; None for the two that most rows logged.

    Raises:
        UsageError: If one of the curves was logged by no row.
    """
    logged = names_of(rows)
    chosen = list(names) if names else logged[:2]
    unknown = [name for name in chosen if name not in logged]
    if unknown or not chosen:
        raise UsageError(
            f"no training has logged {', '.join(unknown) or 'a curve'}; available: {', '.join(logged) or 'none'}"
        )
    with settings():
        figure, panels = new_figure(3.2, columns=len(chosen))
        for axes, name in zip(panels, chosen, strict=True):
            for index, row in enumerate(rows):
                band = band_of(row, name)
                if band is not None:
                    draw_band(axes, band, index, short(row.label))
            axes.set(xlabel="training step", title=name)
            axes.margins(x=0.01)
            axes.legend(fontsize="small")
    return figure
