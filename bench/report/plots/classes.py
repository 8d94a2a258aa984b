"""Accuracy of each class, the worst first: whether a mean is made of all classes or of some."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.plots.style import FAINT, INK, colour, new_figure, settings
from bench.report.summary import Row


def class_accuracies(row: Row) -> NDArray[np.float64] | None:
    """(seeds, classes) of accuracies; NaN for a class without images; None if no run has them."""
    found = [r.evaluation.per_class_accuracy for r in row.finished if r.evaluation]
    values = [[np.nan if value is None else value for value in own] for own in found if own]
    return np.array(values, float) if values else None


def classes_figure(row: Row) -> Figure:
    """The mean over seeds of each class, and the range over seeds."""
    values = class_accuracies(row)
    assert values is not None
    mean = values.mean(axis=0)
    order = np.argsort(mean)
    places = np.arange(len(order))
    with settings():
        figure, (axes,) = new_figure(2.8)
        low, high = 100 * values.min(axis=0)[order], 100 * values.max(axis=0)[order]
        axes.vlines(places, low, high, color=colour(0), alpha=0.35, linewidth=2, label="range over seeds")
        axes.plot(places, 100 * mean[order], "o", color=colour(0), markersize=3, label="mean of a class")
        total = float(np.nanmean(100 * mean))
        axes.axhline(
            total, color=INK, alpha=FAINT, linewidth=1, linestyle="--", label=f"mean of all, {total:.1f} %"
        )
        axes.set(xlabel=f"{len(order)} classes, the worst first", ylabel="accuracy, %", ylim=(0, 100))
        axes.set_xticks([])
        axes.legend(fontsize="small", loc="upper left")
    return figure


def extremes(
    row: Row, names: Sequence[str] | None, count: int = 5
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The best and the worst classes with their mean accuracy, by name or else by number."""
    values = class_accuracies(row)
    assert values is not None
    mean = values.mean(axis=0)
    order = [int(index) for index in np.argsort(mean) if not np.isnan(mean[index])]

    def named(indices: Sequence[int]) -> list[tuple[str, float]]:
        return [(names[i] if names and i < len(names) else f"class {i}", float(mean[i])) for i in indices]

    return named(order[::-1][:count]), named(order[:count])
