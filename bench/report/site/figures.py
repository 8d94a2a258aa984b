"""Figures of pages: plots as inline SVG, and the pictures of runs, with captions that describe their content."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from bench.contract.manifest import BASE_VARIANT, REAL_IMAGES
from bench.contract.records.files import record_path
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.pictures import why_no_picture
from bench.report.plots.changes import ablation_figure
from bench.report.plots.classes import class_accuracies, classes_figure
from bench.report.plots.curves import curves_figure, names_of
from bench.report.plots.pareto import COSTS, pareto_figure, pareto_front, points_of
from bench.report.plots.style import inline_svg
from bench.report.records.aggregate import Row
from bench.report.records.naming import run_name, slug
from bench.report.site.views import Figure
from bench.report.tables.comparison import Comparison

MOST_CURVES = 12  # per plot; more cannot be told apart

# File in the folder of a run -> caption; in the order of the page.
PICTURES = {
    "samples.png": "Uncurated samples from fixed noise.",
    "samples-as-published.png": "Samples from the same noise, generated as the paper's author did.",
    "classes.png": "Samples by class, one row per class.",
    "interpolation-linear.png": "Linear interpolation between two samples in latent space.",
    "interpolation-slerp.png": "Spherical interpolation between two samples in latent space.",
    "nearest-train.png": "The samples nearest to a training image (left), and that image (right).",
}


def pareto_figures(item: Comparison) -> Iterator[Figure]:
    """Yield a plot of the score against each cost that at least two rows have."""
    rows = [compared.row for compared in item.rows if compared.row.finished]
    if len(rows) == 0:
        return
    higher_is_better = rows[0].ranking_metric.better == "higher"
    for key, cost in COSTS.items():
        points = points_of(rows, cost)
        if len({point.cost for point in points}) < 2:
            continue  # with a single cost there is nothing to weigh against the score
        front = pareto_front(points, higher_is_better=higher_is_better)
        names = ", ".join(point.row.label for point in front)
        caption = (
            f"{rows[0].ranking_metric.title} against {cost.title}. Pareto front, from the lowest cost: {names}."
        )
        name = slug(f"pareto-{item.protocol.track}-{item.protocol.profile}-{key}")
        yield Figure(caption, inline_svg(pareto_figure(rows, key), name))


def protocol_curves(item: Comparison) -> Iterator[Figure]:
    """Yield one plot of the training losses of the first base submissions of the table."""
    rows = [compared.row for compared in item.rows if compared.row.finished]
    rows = [row for row in rows if row.key.variant == BASE_VARIANT and "loss" in names_of([row])]
    if rows:
        selection = f" of the first {MOST_CURVES} of {len(rows)}" if len(rows) > MOST_CURVES else ""
        rows = rows[:MOST_CURVES]
        names = ", ".join(row.label for row in rows)
        caption = f"Training loss{selection}, mean ± one standard deviation over seeds: {names}."
        key = slug(f"loss-{item.protocol.track}-{item.protocol.profile}")
        yield Figure(caption, inline_svg(curves_figure(rows, ["loss"]), key))


def row_curves(row: Row, key: str) -> Iterator[Figure]:
    """Yield the plot of a row's training curves."""
    names = names_of([row])[:2]
    if names:
        band = "; the band is one standard deviation over seeds" if len(row.finished) > 1 else ""
        caption = f"{' and '.join(names)} over {row.steps:,} training steps (n={len(row.finished)}{band})."
        yield Figure(caption, inline_svg(curves_figure([row], names), slug(key)))


def class_figure(row: Row, key: str) -> Iterator[Figure]:
    """Yield the plot of per-class accuracies."""
    if class_accuracies(row) is not None:
        caption = "Accuracy per class, from the worst to the best; bars are the range over seeds."
        yield Figure(caption, inline_svg(classes_figure(row), slug(key)))


def ablation_figure_of(rows: list[Row], texts: dict[str, str], key: str) -> Iterator[Figure]:
    """Yield the plot of the variants' differences from the base; nothing if no difference can be computed."""
    try:
        figure = ablation_figure(rows, texts)
    except UsageError:
        return
    title = rows[0].ranking_metric.title
    caption = f"Difference of {title} from the base for each change, with its 95 % interval over seeds."
    yield Figure(caption, inline_svg(figure, slug(key)))


def pictures_of(record: Record, results: Path) -> list[tuple[Path, Figure]]:
    """Return the pictures of a run as (path, figure of the page); files that are no pictures are omitted."""
    pictures = []
    for path, caption in _candidates(record, results):
        if why_no_picture(path, decoded=False) is None:
            with Image.open(path) as image:
                size = image.size
            target = f"pictures/{run_name(record)}/{path.name}"
            pictures.append((path, Figure(caption, path=target, size=size)))
    return pictures


def damaged_pictures(record: Record, results: Path) -> list[str]:
    """Return a message per file of a run that is named like a picture but is none."""
    reasons = [(path, why_no_picture(path, decoded=False)) for path, _ in _candidates(record, results)]
    return [f"Not shown: {path.name}: {reason}." for path, reason in reasons if reason is not None]


def _candidates(record: Record, results: Path) -> list[tuple[Path, str]]:
    folder = record_path(results, record.identity, record.protocol).with_suffix("")
    candidates = [(folder / name, text) for name, text in PICTURES.items() if (folder / name).exists()]
    for path in sorted(folder.glob("progress/step-*.png")):
        step = path.stem.removeprefix("step-")
        if step.isdecimal() and len(step) <= 12:
            candidates.append((path, f"Samples from the same noise after {int(step):,} training steps."))
    return candidates


def first_pictures(row: Row, results: Path) -> list[Figure]:
    """Return the pictures of the first seed that has any, without those made during training."""
    if row.representative.identity.submission == REAL_IMAGES:
        return []
    for record in row.finished:
        figures = [figure for path, figure in pictures_of(record, results) if path.name in PICTURES]
        if figures:
            return figures
    return []
