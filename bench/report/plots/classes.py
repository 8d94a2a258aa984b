"""The plot of per-class accuracies, sorted from the worst class to the best."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.plots.style import FAINT, INK, colour, new_figure, settings
from bench.report.records.aggregate import Row


def class_accuracies(row: Row) -> NDArray[np.float64] | None:
    """Return (seeds, classes) accuracies in [0, 1], NaN for a class without images; None if no run has them."""
    by_seed = [r.evaluation.per_class_accuracy for r in row.finished if r.evaluation]
    values = [[np.nan if value is None else value for value in classes] for classes in by_seed if classes]
    return np.array(values, float) if values else None


def classes_figure(row: Row) -> Figure:
    """Plot the mean and the range over seeds of each class."""
    values = class_accuracies(row)
    assert values is not None
    mean = values.mean(axis=0)
    order = np.argsort(mean)
    positions = np.arange(len(order))
    with settings():
        figure, (axes,) = new_figure(2.8)
        low, high = 100 * values.min(axis=0)[order], 100 * values.max(axis=0)[order]
        axes.vlines(positions, low, high, color=colour(0), alpha=0.35, linewidth=2, label="range over seeds")
        axes.plot(positions, 100 * mean[order], "o", color=colour(0), markersize=3, label="mean over seeds")
        total = float(np.nanmean(100 * mean))
        axes.axhline(
            total, color=INK, alpha=FAINT, linewidth=1, linestyle="--", label=f"mean over classes, {total:.1f} %"
        )
        axes.set(xlabel=f"{len(order)} classes, worst first", ylabel="accuracy, %", ylim=(0, 100))
        axes.set_xticks([])
        axes.legend(fontsize="small", loc="upper left")
    return figure


def extremes(
    row: Row, names: Sequence[str] | None, count: int = 5
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return the best and the worst ``count`` classes as (name or number, mean accuracy)."""
    values = class_accuracies(row)
    assert values is not None
    mean = values.mean(axis=0)
    order = [int(index) for index in np.argsort(mean) if not np.isnan(mean[index])]

    def named(indices: Sequence[int]) -> list[tuple[str, float]]:
        return [(names[i] if names and i < len(names) else f"class {i}", float(mean[i])) for i in indices]

    return named(order[::-1][:count]), named(order[:count])
