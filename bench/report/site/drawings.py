"""Drawings for pages: plots as inline SVG, with what they show in words, and pictures that lie beside a record."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from bench.contract.records import REAL_IMAGES, Record, record_path
from bench.errors import UsageError
from bench.pictures import why_no_picture
from bench.report.ablation import measure_of
from bench.report.comparison import Comparison
from bench.report.names import run_name, slug
from bench.report.plots.changes import ablation_figure
from bench.report.plots.classes import class_accuracies, classes_figure
from bench.report.plots.curves import curves_figure, names_of
from bench.report.plots.pareto import PRICES, front, pareto_figure, points_of
from bench.report.plots.style import inline_svg
from bench.report.site.views import Figure
from bench.report.summary import Row

MOST_CURVES = 12  # in one drawing; more are told apart by nobody

# File beside a record -> what it shows; in the order of a page.
PICTURES = {
    "samples.png": "Samples of fixed noise; nobody picked them.",
    "samples-as-published.png": "The same, drawn the way the paper's author did.",
    "classes.png": "A row a class.",
    "interpolation-linear.png": "Between two samples, along a line in latent space.",
    "interpolation-slerp.png": "Between two samples, along a circle.",
    "nearest-train.png": "The samples nearest to a training image (left), with that image (right).",
}


def pareto_drawings(item: Comparison) -> Iterator[Figure]:
    """The score against each price that a run has."""
    rows = [row for row in item.rows if row.finished]
    if len(rows) == 0:
        return
    classifies = rows[0].first.task == "classification"
    score = "Accuracy" if classifies else "FID"
    for key, price in PRICES.items():
        points = points_of(rows, price)
        if len(points) < 2:
            continue  # one point alone compares with nothing
        kept = ", ".join(point.row.label for point in front(points, higher_is_better=classifies))
        words = f"{score} against {price.title}. On the front, from the cheapest: {kept}."
        name = slug(f"pareto-{item.protocol.track}-{item.protocol.profile}-{key}")
        yield Figure(words, inline_svg(pareto_figure(rows, key), name))


def protocol_curves(item: Comparison) -> Iterator[Figure]:
    """The loss of every base submission, in one drawing; of many, of those that rank first."""
    rows = [row for row in item.rows if row.finished and row.first.identity.variant == "base"]
    rows = [row for row in rows if "loss" in names_of([row])]
    if rows:
        best = f" of the first {MOST_CURVES} of {len(rows)}" if len(rows) > MOST_CURVES else ""
        rows = rows[:MOST_CURVES]
        names = ", ".join(row.label for row in rows)
        words = f"Training loss{best}, mean over seeds and one standard deviation around it: {names}."
        name = slug(f"loss-{item.protocol.track}-{item.protocol.profile}")
        yield Figure(words, inline_svg(curves_figure(rows, ["loss"]), name))


def row_curves(row: Row, key: str) -> Iterator[Figure]:
    """What one row's trainings logged."""
    names = names_of([row])[:2]
    if names:
        band = "; the band is one standard deviation over seeds" if len(row.finished) > 1 else ""
        words = f"{' and '.join(names)} over {row.steps:,} training steps (n={len(row.finished)}{band})."
        yield Figure(words, inline_svg(curves_figure([row], names), slug(key)))


def class_drawing(row: Row, key: str) -> Iterator[Figure]:
    """Accuracy by class."""
    if class_accuracies(row) is not None:
        words = "Accuracy of each class, from the worst to the best; the bars span the seeds."
        yield Figure(words, inline_svg(classes_figure(row), slug(key)))


def ablation_drawing(rows: list[Row], texts: dict[str, str], key: str) -> Iterator[Figure]:
    """The variants' differences from their base."""
    try:
        figure = ablation_figure(rows, texts)
    except UsageError:
        return
    title = measure_of(rows[0]).title
    words = f"Each change's difference of {title} from the base, with its 95 % interval over seeds."
    yield Figure(words, inline_svg(figure, slug(key)))


def pictures_of(record: Record, results: Path) -> list[tuple[Path, Figure]]:
    """The pictures that lie beside a record: where each is, and what the page shows. What is none is left out."""
    pictures = []
    for path, words in _candidates(record, results):
        if why_no_picture(path, decoded=False) is None:
            with Image.open(path) as image:
                size = image.size
            target = f"pictures/{run_name(record)}/{path.name}"
            pictures.append((path, Figure(words, path=target, size=size)))
    return pictures


def damaged_pictures(record: Record, results: Path) -> list[str]:
    """A line for each file beside a record that is named as a picture and is none."""
    found = [(path, why_no_picture(path, decoded=False)) for path, _ in _candidates(record, results)]
    return [f"Not shown: {path.name}: {why}." for path, why in found if why is not None]


def _candidates(record: Record, results: Path) -> list[tuple[Path, str]]:
    folder = record_path(results, record.identity, record.protocol).with_suffix("")
    found = [(folder / name, words) for name, words in PICTURES.items() if (folder / name).exists()]
    for path in sorted(folder.glob("progress/step-*.png")):
        step = path.stem.removeprefix("step-")
        if step.isdecimal() and len(step) <= 12:
            found.append((path, f"The same noise after {int(step):,} training steps."))
    return found


def first_pictures(row: Row, results: Path) -> list[Figure]:
    """Those of the first seed that has any, without its progress."""
    if row.first.identity.submission == REAL_IMAGES:
        return []
    for record in row.finished:
        shown = [figure for path, figure in pictures_of(record, results) if path.name in PICTURES]
        if shown:
            return shown
    return []
