"""Pareto plots: the score against parameters, multiply-accumulates or training time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import Bbox

from bench.contract.manifest import REAL_IMAGES
from bench.errors import UsageError
from bench.report.plots.style import FAINT, INK, PAPER, colour, marker, new_figure, settings, short
from bench.report.records.aggregate import Row
from bench.report.tables.columns import device_of
from bench.stats.spreads import spread

MOST_NAMED = 24  # with more points, only those on the Pareto front are labelled
# (x, y, horizontal alignment) of a label relative to its point, in points; the last one is the fallback.
LABEL_OFFSETS = (
    (7, 4, "left"), (7, -11, "left"), (-7, 4, "right"), (-7, -11, "right"),
    (0, 12, "center"), (0, -20, "center"), (12, 18, "left"), (12, -26, "left"), (7, 4, "left"),
)  # fmt: skip


@dataclass(frozen=True)
class CostAxis:
    """A cost on the x-axis."""

    key: str
    title: str
    of: Callable[[Row], float | None]
    depends_on_device: bool = False


def _training_seconds(row: Row) -> float | None:
    seconds = spread([r.timing.training_seconds for r in row.finished if r.timing.training_seconds])
    return seconds.mean if seconds else None


COSTS = {
    "params": CostAxis(
        "params", "parameters", lambda row: row.representative.cost.params if row.representative.cost else None
    ),
    "macs": CostAxis(
        "macs",
        "multiply-accumulates per image, all network evaluations",
        lambda row: row.representative.cost.macs_per_image if row.representative.cost else None,
    ),
    "training": CostAxis("training", "training time in seconds", _training_seconds, depends_on_device=True),
}


@dataclass(frozen=True)
class Point:
    """One row of the plot."""

    row: Row
    cost: float
    score: float  # as tables show it: accuracies in percent
    std: float | None


def points_of(rows: Sequence[Row], cost: CostAxis) -> list[Point]:
    """Return the rows that have both a score and the cost; for times, only those on the most frequent device."""
    scale, points = rows[0].ranking_metric.scale, []
    for row in rows:
        value, score = cost.of(row), row.metric(row.ranking_metric.name)
        if value is not None and score is not None and row.representative.identity.submission != REAL_IMAGES:
            std = None if score.std is None else scale * score.std
            points.append(Point(row, value, scale * score.mean, std))
    if cost.depends_on_device and points:
        devices = [device_of(point.row) for point in points]
        most_frequent = max(devices, key=devices.count)
        points = [point for point in points if device_of(point.row) == most_frequent]
    return points


def pareto_front(points: Sequence[Point], *, higher_is_better: bool) -> list[Point]:
    """Return the points within the caps that no other point dominates, sorted by cost."""
    undominated: list[Point] = []
    sign = -1 if higher_is_better else 1
    for point in sorted(points, key=lambda p: (p.cost, sign * p.score)):
        improves = not undominated or sign * point.score < sign * undominated[-1].score
        if not point.row.cap_violations and improves:
            undominated.append(point)
    return undominated


def pareto_figure(rows: Sequence[Row], key: str) -> Figure:
    """Plot scores against one cost.

    Args:
        rows: Rows of one protocol.
        key: A key of ``COSTS``.

    Raises:
        UsageError: If the key is unknown, or no row has both the cost and a score.
    """
    if key not in COSTS:
        raise UsageError(f"--cost {key!r}: give {', '.join(COSTS)}")
    cost = COSTS[key]
    points = points_of(rows, cost)
    if not points:
        raise UsageError(f"no run has both a score and its {cost.title}")
    with settings():
        figure, (axes,) = new_figure()
        front = pareto_front(points, higher_is_better=rows[0].ranking_metric.better == "higher")
        _draw_front(axes, front)
        named = points if len(points) <= MOST_NAMED else front[-MOST_NAMED:]
        _draw_unlabelled(axes, [point for point in points if point not in named])
        for index, point in enumerate(named):
            _draw_point(axes, index, point)
        _draw_bounds(axes, rows, key, points)
        _label(axes, rows[0], cost, points)
        _name_points(figure, axes, named, points, {id(point) for point in front})
    return figure


def _draw_unlabelled(axes: Axes, points: Sequence[Point]) -> None:
    """Draw points without a label, for plots with too many points to label all."""
    if points:
        costs, scores = [point.cost for point in points], [point.score for point in points]
        axes.scatter(costs, scores, s=9, color=INK, alpha=FAINT, linewidths=0, zorder=2)


def _draw_point(axes: Axes, index: int, point: Point) -> None:
    within_caps = not point.row.cap_violations
    if point.std is not None:
        axes.errorbar(point.cost, point.score, point.std, color=colour(index), capsize=3, linewidth=1, zorder=2)
    axes.scatter(
        [point.cost], [point.score], s=42, marker=marker(index), zorder=3, edgecolors=colour(index),
        facecolors=colour(index) if within_caps else PAPER,
    )  # fmt: skip


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """Draw the best score for at most each cost, as a step function."""
    if front:
        costs, scores = [p.cost for p in front], [p.score for p in front]
        axes.step(
            costs, scores, where="post", color=INK, alpha=FAINT, linewidth=1, zorder=1,
            label="Pareto front",
        )  # fmt: skip
        axes.legend(fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.99))
    axes.margins(0.15, 0.15)


def is_near(cap: float, costs: Sequence[float]) -> bool:
    """Return whether the points still fill half of the axis if it reaches to the cap.

    Args:
        cap: The cap.
        costs: Of the points; at least one. On a logarithmic axis their logarithms count.
    """
    low, high = min(costs), max(costs)
    if _is_logarithmic(costs):
        return low / (high / low) <= cap <= high * (high / low)
    # If all points are at one place, a tenth of their cost is its width.
    width = max(high - low, high / 10)
    return low - width <= cap <= high + width


def _is_logarithmic(costs: Sequence[float]) -> bool:
    return max(costs) > 20 * min(costs)


def _draw_cap(axes: Axes, cap: float, costs: Sequence[float]) -> None:
    """Draw the cap as a line, or if it is far from all points, as an arrow at the edge behind which it is."""
    if is_near(cap, costs):
        axes.axvline(cap, color=INK, linestyle=":", linewidth=1)
        axes.annotate(
            "cap", (cap, 1), (-3, -9), xycoords=("data", "axes fraction"), textcoords="offset points", ha="right"
        )
        return
    text, edge, align = (f"cap {cap:,.0f} →", 1, "right") if cap > max(costs) else (f"← cap {cap:,.0f}", 0, "left")
    offset = (-3 if edge else 3, -9)
    axes.annotate(text, (edge, 1), offset, xycoords="axes fraction", textcoords="offset points", ha=align)


def _draw_bounds(axes: Axes, rows: Sequence[Row], key: str, points: Sequence[Point]) -> None:
    """Draw the cap on the cost, and the score of real images."""
    caps, scale = rows[0].representative.protocol.caps, rows[0].ranking_metric.scale
    cap = {"params": caps.params, "macs": caps.macs_per_image}.get(key)
    if cap is not None:
        _draw_cap(axes, cap, [point.cost for point in points])
    for row in rows:
        real_images = (
            row.metric(row.ranking_metric.name) if row.representative.identity.submission == REAL_IMAGES else None
        )
        if real_images is not None:
            axes.axhline(scale * real_images.mean, color=INK, linestyle=":", linewidth=1)
            axes.annotate(
                "real images",
                (0, scale * real_images.mean),
                (3, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
            )


def _label(axes: Axes, row: Row, cost: CostAxis, points: Sequence[Point]) -> None:
    protocol = row.representative.protocol
    name = row.ranking_metric.title + (", lower is better" if row.ranking_metric.better == "lower" else "")
    device = f", {device_of(points[0].row)}" if cost.depends_on_device else ""
    if _is_logarithmic([point.cost for point in points]):
        axes.set_xscale("log")
    elif not cost.depends_on_device:
        axes.xaxis.set_major_formatter(EngFormatter(sep="\N{NO-BREAK SPACE}"))  # 85 k
    axes.set(xlabel=cost.title + device, ylabel=f"{name} ({protocol.evaluate})")
    axes.set_title(f"{protocol.track}, {protocol.profile}")


def _name_points(
    figure: Figure, axes: Axes, named: Sequence[Point], points: Sequence[Point], front: set[int]
) -> None:
    """Label each of ``named`` at an offset where the label overlaps no point and no other label.

    Without such an offset only a point on the front has a label; tables name the others.
    """
    figure.draw_without_rendering()  # pixel coordinates are known only after the layout
    occupied = [
        Bbox.from_bounds(x - 5, y - 5, 10, 10)
        for x, y in axes.transData.transform([(p.cost, p.score) for p in points])
    ]
    for point in sorted(named, key=lambda point: id(point) not in front):
        for attempt, (x, y, alignment) in enumerate(LABEL_OFFSETS):
            text = axes.annotate(
                short(point.row.label), (point.cost, point.score), (x, y),
                textcoords="offset points", ha=alignment, fontsize="small",
            )  # fmt: skip
            text.set_in_layout(False)
            box = text.get_window_extent()
            # The site uses the reader's font, which may be 20 % wider.
            outside = box.x1 + box.width / 5 > figure.bbox.x1 or box.x0 < 0
            overlaps = outside or any(box.overlaps(other) for other in occupied)
            is_last_resort = attempt == len(LABEL_OFFSETS) - 1 and id(point) in front
            if is_last_resort or not overlaps:
                occupied.append(box)
                break
            text.remove()
