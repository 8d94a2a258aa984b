"""What a score costs: accuracy or FID against parameters, multiply-accumulates or training time, and the front."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import Bbox

from bench.contract.records import REAL_IMAGES
from bench.errors import UsageError
from bench.report.columns import device_of
from bench.report.plots.style import FAINT, INK, PAPER, colour, marker, new_figure, settings
from bench.report.summary import Row
from bench.stats.spreads import spread

MOST_NAMED = 24  # of more submissions only those on the front have a name
# Offsets in points, and which end of the name is there; the last is taken if all are covered.
LABEL_PLACES = (
    (7, 4, "left"), (7, -11, "left"), (-7, 4, "right"), (-7, -11, "right"),
    (0, 12, "center"), (0, -20, "center"), (12, 18, "left"), (12, -26, "left"), (7, 4, "left"),
)  # fmt: skip


@dataclass(frozen=True)
class Price:
    """What a score may be set against."""

    key: str
    title: str
    of: Callable[[Row], float | None]
    depends_on_device: bool = False


def _training_seconds(row: Row) -> float | None:
    found = spread([r.timing.training_seconds for r in row.finished if r.timing.training_seconds])
    return found.mean if found else None


PRICES = {
    "params": Price("params", "parameters", lambda row: row.first.cost.params if row.first.cost else None),
    "macs": Price(
        "macs",
        "multiply-accumulates an image, all network evaluations",
        lambda row: row.first.cost.macs_per_image if row.first.cost else None,
    ),
    "training": Price("training", "training time in seconds", _training_seconds, depends_on_device=True),
}


@dataclass(frozen=True)
class Point:
    """One submission."""

    row: Row
    price: float
    score: float  # percent of an accuracy
    std: float | None


def points_of(rows: Sequence[Row], price: Price) -> list[Point]:
    """Rows that have both; a time only of the device that most rows were trained on."""
    scale = 100 if rows[0].first.task == "classification" else 1
    found = []
    for row in rows:
        value, score = price.of(row), row.metric(row.score_name)
        if value is not None and score is not None and row.first.identity.submission != REAL_IMAGES:
            found.append(Point(row, value, scale * score.mean, None if score.std is None else scale * score.std))
    if price.depends_on_device and found:
        devices = [device_of(point.row) for point in found]
        usual = max(devices, key=devices.count)
        found = [point for point in found if device_of(point.row) == usual]
    return found


def front(points: Sequence[Point], *, higher_is_better: bool) -> list[Point]:
    """Those within the contest that no other is as good as for less, by price."""
    kept: list[Point] = []
    sign = -1 if higher_is_better else 1
    for point in sorted(points, key=lambda p: (p.price, sign * p.score)):
        if not point.row.outside and (not kept or sign * point.score < sign * kept[-1].score):
            kept.append(point)
    return kept


def pareto_figure(rows: Sequence[Row], key: str) -> Figure:
    """Scores against one price.

    Args:
        rows: Of one protocol.
        key: One of ``PRICES``.

    Raises:
        UsageError: If the key is unknown, or no row has both price and score.
    """
    if key not in PRICES:
        raise UsageError(f"--price {key!r}: give {', '.join(PRICES)}")
    price = PRICES[key]
    points = points_of(rows, price)
    if not points:
        raise UsageError(f"no run has both a score and its {price.title}")
    classifies = rows[0].first.task == "classification"
    with settings():
        figure, (axes,) = new_figure()
        kept = front(points, higher_is_better=classifies)
        _draw_front(axes, kept)
        named = points if len(points) <= MOST_NAMED else kept[-MOST_NAMED:]
        _draw_crowd(axes, [point for point in points if point not in named])
        for index, point in enumerate(named):
            _draw_point(axes, index, point)
        _draw_bounds(axes, rows, key)
        _label(axes, rows[0], price, points)
        _name_points(figure, axes, named, points)
    return figure


def _draw_crowd(axes: Axes, points: Sequence[Point]) -> None:
    """Points without a name, where all names would cover one another."""
    if points:
        prices, scores = [point.price for point in points], [point.score for point in points]
        axes.scatter(prices, scores, s=9, color=INK, alpha=FAINT, linewidths=0, zorder=2)


def _draw_point(axes: Axes, index: int, point: Point) -> None:
    inside = not point.row.outside
    if point.std is not None:
        axes.errorbar(point.price, point.score, point.std, color=colour(index), capsize=3, linewidth=1, zorder=2)
    axes.scatter(
        [point.price], [point.score], s=42, marker=marker(index), zorder=3, edgecolors=colour(index),
        facecolors=colour(index) if inside else PAPER,
    )  # fmt: skip


def _draw_front(axes: Axes, kept: Sequence[Point]) -> None:
    """Steps: what one gets for at most that price."""
    if kept:
        prices, scores = [p.price for p in kept], [p.score for p in kept]
        axes.step(
            prices, scores, where="post", color=INK, alpha=FAINT, linewidth=1, zorder=1,
            label="nothing better for less",
        )  # fmt: skip
        axes.legend(fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.99))
    axes.margins(0.15, 0.15)


def _draw_bounds(axes: Axes, rows: Sequence[Row], key: str) -> None:
    """The cap on the price, and the score of real images."""
    cap = rows[0].first.protocol.caps.params
    if key == "params" and cap is not None:
        axes.axvline(cap, color=INK, linestyle=":", linewidth=1)
        axes.annotate(
            "cap", (cap, 1), (-3, -9), xycoords=("data", "axes fraction"), textcoords="offset points", ha="right"
        )
    for row in rows:
        floor = row.metric(row.score_name) if row.first.identity.submission == REAL_IMAGES else None
        if floor is not None:
            axes.axhline(floor.mean, color=INK, linestyle=":", linewidth=1)
            axes.annotate(
                "real images",
                (0, floor.mean),
                (3, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
            )


def _label(axes: Axes, row: Row, price: Price, points: Sequence[Point]) -> None:
    protocol = row.first.protocol
    name = (
        "top-1 accuracy, %" if row.first.task == "classification" else f"FID@{protocol.samples}, lower is better"
    )
    device = f", {device_of(points[0].row)}" if price.depends_on_device else ""
    values = [point.price for point in points]
    if max(values) > 20 * min(values):
        axes.set_xscale("log")
    elif not price.depends_on_device:
        axes.xaxis.set_major_formatter(EngFormatter(sep="\N{NO-BREAK SPACE}"))  # 85 k
    axes.set(xlabel=price.title + device, ylabel=f"{name} ({protocol.evaluate})")
    axes.set_title(f"{protocol.track}, {protocol.profile}")


def _name_points(figure: Figure, axes: Axes, named: Sequence[Point], points: Sequence[Point]) -> None:
    """A name beside each of ``named``, where it covers no point and no other name, if there is such a place."""
    figure.draw_without_rendering()  # places are known in pixels only once the layout is
    taken = [
        Bbox.from_bounds(x - 5, y - 5, 10, 10)
        for x, y in axes.transData.transform([(p.price, p.score) for p in points])
    ]
    for point in named:
        for place, (x, y, side) in enumerate(LABEL_PLACES):
            text = axes.annotate(
                point.row.label, (point.price, point.score), (x, y), textcoords="offset points", ha=side,
                fontsize="small",
            )  # fmt: skip
            text.set_in_layout(False)
            box = text.get_window_extent()
            # A page shows it in its reader's font, which may be wider.
            outside = box.x1 + box.width / 5 > figure.bbox.x1 or box.x0 < 0
            covered = outside or any(box.overlaps(other) for other in taken)
            if place == len(LABEL_PLACES) - 1 or not covered:
                taken.append(box)
                break
            text.remove()
