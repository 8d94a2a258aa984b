"""Plots show the values of the records, are reproducible to the byte, and do not rely on colour alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from bench.contract.records.record import Curves
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.plots import style
from bench.report.plots.changes import ablation_figure
from bench.report.plots.classes import class_accuracies, classes_figure, extremes
from bench.report.plots.command import Selection, plot_command
from bench.report.plots.curves import band_of, curves_figure
from bench.report.plots.pareto import COSTS, Point, is_near, pareto_figure, pareto_front, points_of
from bench.report.plots.samples import samples_figure
from bench.report.records.aggregate import Row, summarize
from bench.report.site.figures import protocol_curves
from bench.report.tables.comparison import comparisons
from bench.report.tables.ranking import with_places
from tests.report.making_contest import contest, write_contest
from tests.report.making_records import make_record


def rows_of(profile: str = "official", task: str = "classification") -> list[Row]:
    return [
        r
        for r in summarize(contest())
        if r.representative.protocol.profile == profile and r.representative.task == task
    ]


def row_with_curves(*losses: list[float]) -> Row:
    records = []
    for seed, values in enumerate(losses):
        record = make_record("net", seed)
        assert record.training is not None
        curves = Curves(steps=[10 * (i + 1) for i in range(len(values))], values={"loss": values})
        training = record.training.model_copy(update={"curves": curves})
        records.append(record.model_copy(update={"training": training}))
    return summarize(records)[0]


def test_band_is_mean_and_deviation_over_seeds() -> None:
    losses = np.array([[4.0, 3.0, 2.0], [4.5, 3.2, 2.5], [3.9, 3.1, 2.2]])
    band = band_of(row_with_curves(*losses.tolist()), "loss")
    assert band is not None and band.std is not None and band.n == 3
    np.testing.assert_allclose(band.mean, losses.mean(axis=0))
    np.testing.assert_allclose(band.std, losses.std(axis=0, ddof=1))
    assert band.steps.tolist() == [10, 20, 30]


def test_band_has_common_steps_and_no_deviation_for_one_seed() -> None:
    band = band_of(row_with_curves([4.0, 3.0, 2.0], [4.0, 3.0]), "loss")
    assert band is not None and band.steps.tolist() == [10, 20]
    alone = band_of(row_with_curves([4.0, 3.0]), "loss")
    assert alone is not None and alone.std is None
    assert band_of(row_with_curves([4.0]), "accuracy") is None


def test_curve_that_was_not_logged_is_refused() -> None:
    with pytest.raises(UsageError, match="no training has logged gain; available: loss"):
        curves_figure(rows_of(), ["gain"])


@pytest.mark.parametrize("higher", [True, False])
def test_pareto_front_is_the_undominated_points(higher: bool) -> None:
    generator = np.random.default_rng(0)
    row = summarize([make_record("net")])[0]
    points = [Point(row, float(p), float(s), None) for p, s in generator.integers(0, 12, (40, 2))]

    def dominates(one: Point, other: Point) -> bool:
        better = one.score >= other.score if higher else one.score <= other.score
        return one.cost <= other.cost and better and (one.cost, one.score) != (other.cost, other.score)

    undominated = {(p.cost, p.score) for p in points if not any(dominates(other, p) for other in points)}
    assert {(p.cost, p.score) for p in pareto_front(points, higher_is_better=higher)} == undominated


def test_variant_over_the_cap_is_hollow_and_not_on_the_front() -> None:
    rows = rows_of()
    front = pareto_front(points_of(rows, COSTS["params"]), higher_is_better=True)
    assert [point.row.label for point in front] == ["narrow", "wide"]
    axes = pareto_figure(rows, "params").axes[0]
    dots = [c for c in axes.collections if len(c.get_offsets()) and len(c.get_facecolors())]
    fills = [tuple(dot.get_facecolors()[0][:3].round(2)) for dot in dots]
    paper = tuple(round(int(style.PAPER[i : i + 2], 16) / 255, 2) for i in (1, 3, 5))
    assert fills.count(paper) == 1 and len(set(fills)) == 5


def test_far_cap_is_an_arrow_and_leaves_the_axis_to_the_points() -> None:
    for params, text, in_view in ((60_000, "cap", True), (10_000, "cap 100,000 →", False)):
        rows = summarize([make_record("a", params=params), make_record("b", params=params + params // 2)])
        axes = pareto_figure(rows, "params").axes[0]
        assert text in [label.get_text() for label in axes.texts]
        low, high = axes.get_xlim()
        assert (low <= 100_000 <= high) == in_view
        assert (high - low) <= 3 * (1.5 * params - params) or in_view  # the points fill a third at least
    over = summarize([make_record("a", params=300_000), make_record("b", params=310_000)])
    assert "← cap 100,000" in [label.get_text() for label in pareto_figure(over, "params").axes[0].texts]


@pytest.mark.parametrize(
    ("cap", "costs", "near"),
    [
        (3.0, [1.0, 2.0], True), (3.1, [1.0, 2.0], False), (0.0, [1.0, 2.0], True), (11.0, [10.0], True),
        (11.1, [10.0], False), (10_000.0, [1.0, 100.0], True), (10_001.0, [1.0, 100.0], False),
    ],
)  # fmt: skip
def test_cap_is_near_if_the_points_fill_half_of_the_axis(cap: float, costs: list[float], near: bool) -> None:
    assert is_near(cap, costs) == near


def test_long_names_are_cut_and_crowded_ones_left_out() -> None:
    records = [make_record(f"net{n:02}", 0, 0.5 + n / 1e5, params=50_000 + n) for n in range(20)]
    records.append(make_record("long" * 20, 0, 0.9, params=40_000))
    labels = [text.get_text() for text in pareto_figure(summarize(records), "params").axes[0].texts]
    assert max(map(len, labels)) <= 28 and any(label.startswith("longlong") for label in labels)
    assert 2 <= len(labels) < 20


def test_real_images_are_a_line_and_not_a_point() -> None:
    rows = rows_of(task="generation")
    assert {point.row.label for point in points_of(rows, COSTS["params"])} == {"gan", "ddpm"}
    labels = [text.get_text() for text in pareto_figure(rows, "params").axes[0].texts]
    assert "real images" in labels and "cap 1,000,000 →" in labels and "gan" in labels


def test_times_of_another_device_are_left_out() -> None:
    on_cpu = [make_record("a", seed) for seed in range(2)]
    on_gpu = make_record("b").model_copy(update={"environment": {"device": "A GPU", "device_type": "cuda"}})
    rows = summarize([*on_cpu, make_record("c"), on_gpu])
    assert {point.row.label for point in points_of(rows, COSTS["training"])} == {"a", "c"}
    assert {point.row.label for point in points_of(rows, COSTS["params"])} == {"a", "b", "c"}


def points(axes: Axes, marker: str) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == marker]  # type: ignore[index,arg-type]


def test_ablation_plot_has_paired_and_published_differences() -> None:
    base = [make_record("net", s, v, claims={"top1_accuracy": 0.50}) for s, v in enumerate((0.45, 0.47, 0.46))]
    other = [
        make_record("net", s, v, variant="plain", claims={"top1_accuracy": 0.44})
        for s, v in enumerate((0.40, 0.43, 0.41))
    ]
    axes = ablation_figure(summarize([*base, *other]), {"plain": "without everything"}).axes[0]
    assert points(axes, "o") == [pytest.approx(100 * np.mean([-0.05, -0.04, -0.05]))]
    assert points(axes, "D") == [pytest.approx(-6.0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["without everything"]


def test_ablation_plot_without_base_or_common_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="the base has no record"):
        ablation_figure(summarize([make_record("net", variant="plain")]))
    with pytest.raises(UsageError, match="no variant has a finished run of the same seed as the base"):
        ablation_figure(summarize([make_record("net", 0), make_record("net", 1, variant="plain")]))


def test_class_plot_is_sorted_and_extremes_are_best_and_worst() -> None:
    row = summarize([make_record("net", seed, 0.4 + seed / 10) for seed in range(3)])[0]
    values = class_accuracies(row)
    assert values is not None and values.shape == (3, 100)
    best, worst = extremes(row, ["zero", "one"], 2)
    assert worst == [("zero", 0.0), ("one", pytest.approx(0.5 / 49.5))] and best[0][0] == "class 99"
    dots = next(line for line in classes_figure(row).axes[0].lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_ydata(), np.sort(100 * values.mean(axis=0)))


def test_sample_plot_has_one_panel_per_generator(tmp_path: Path) -> None:
    rows = rows_of(task="generation")
    with pytest.raises(UsageError, match=r"no record has a samples\.png"):
        samples_figure(rows, tmp_path)
    write_contest(tmp_path, contest())
    titles = [axes.get_title(loc="left") for axes in samples_figure(rows, tmp_path).axes]
    assert "gan, FID 61.0" in titles and "ddpm, FID 50.0" in titles


def test_series_styles_are_distinct() -> None:
    point_styles = {(style.colour(i), style.marker(i)) for i in range(12)}
    line_styles = {(style.colour(i), style.dash(i)) for i in range(12)}
    assert len(point_styles) == 12 and len(line_styles) == 12
    assert len({style.dash(i) for i in range(4)}) == 4  # distinguishable in greyscale


def test_inline_svg_has_text_elements_and_prefixed_ids() -> None:
    figures = [pareto_figure(rows_of(), "params") for _ in range(2)]
    one, other = (style.inline_svg(figure, key) for figure, key in zip(figures, ("a", "b"), strict=True))
    assert ">narrow</text>" in one and "currentColor" in one and style.INK not in one
    assert other == one.replace('id="a-', 'id="b-').replace("#a-", "#b-")


SELECTION = Selection((), None, "official", (), "params")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_contest(tmp_path / "results", contest())
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("curves", ["curves-cifar100-classification-official", "curves-cifar100-generation-official"]),
        (
            "pareto",
            ["pareto-cifar100-classification-official-params", "pareto-cifar100-generation-official-params"],
        ),
        ("ablation", ["ablation-cifar100-classification-official-wide"]),
        ("samples", ["samples-cifar100-generation-official"]),
    ],
)
def test_command_writes_reproducible_png_and_svg_files(
    results: Path, tmp_path: Path, kind: str, names: list[str]
) -> None:
    selection = SELECTION
    if kind == "ablation":  # wide/deep has seed 0, as the base has
        selection = Selection(["wide"], None, "official", (), "params")
    for folder in ("one", "two"):
        assert plot_command(kind, results, tmp_path / folder, selection) == ExitCode.OK
    written = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert written == sorted(f"{name}.{ending}" for name in names for ending in ("png", "svg"))
    for name in written:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with Image.open(tmp_path / "one" / f"{names[0]}.png") as image:
        assert image.width >= 1200  # 200 dots per inch


def test_variants_are_drawn_only_if_selected(results: Path, tmp_path: Path) -> None:
    names = {"all": (), "one": ["wide/deep"], "two": ["wide", "wide/deep"]}
    drawn = {}
    for folder, selected in names.items():
        plot_command("pareto", results, tmp_path / folder, Selection(selected, None, "official", (), "params"))
        svg = (tmp_path / folder / "pareto-cifar100-classification-official-params.svg").read_text()
        drawn[folder] = [word for word in ("wide", "wide/deep", "narrow") if f"<!-- {word} -->" in svg]
    assert drawn == {"all": ["wide", "narrow"], "one": ["wide/deep"], "two": ["wide", "wide/deep"]}


def test_invalid_selection_is_refused(results: Path, tmp_path: Path) -> None:
    def plot(kind: str, **fields: Any) -> ExitCode:
        values = {"names": (), "track": None, "profile": "official", "values": (), "cost": "params"} | fields
        return plot_command(kind, results, tmp_path, Selection(**values))

    with pytest.raises(UsageError, match="'pie': give curves, pareto, ablation, samples"):
        plot("pie")
    with pytest.raises(NothingToDo, match="no record of nobody profile official"):
        plot("curves", names=["nobody"])
    with pytest.raises(UsageError, match="--cost 'luck': give params, macs, training"):
        plot("pareto", cost="luck")
    with pytest.raises(UsageError, match=r"no record has a samples\.png"):
        plot("samples", track="cifar100-classification")


def test_missing_matplotlib_is_an_error_with_the_install_command(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.optional_packages.find_spec", lambda name: None)
    message = r"bench plot: needs matplotlib; install it with pip install 'capbench\[report\]'"
    with pytest.raises(UsageError, match=message):
        plot_command("curves", results, tmp_path, SELECTION)


def test_crowded_pareto_plot_labels_only_the_front() -> None:
    scores = [0.30 + 0.001 * (index * 37 % 100) for index in range(60)]
    records = [make_record(f"net{index}", 0, score, params=50_000 + index) for index, score in enumerate(scores)]
    rows = summarize(records)
    front = [point.row.label for point in pareto_front(points_of(rows, COSTS["params"]), higher_is_better=True)]
    figure = pareto_figure(rows, "params")
    (axes,) = figure.axes
    names = {text.get_text() for text in axes.texts if text.get_text().startswith("net")}
    assert names == set(front) and 1 < len(front) < 24
    drawn = [len(collection.get_offsets()) for collection in axes.collections if len(collection.get_offsets())]
    assert sum(drawn) == 60  # every point is drawn


def test_track_page_has_the_curves_of_the_first_12_rows() -> None:
    rows = summarize([make_record(f"net{index:02}", 0, 0.5 - 0.01 * index) for index in range(20)])
    (item,) = comparisons(rows)
    (figure,) = protocol_curves(with_places(item))
    assert (
        "of the first 12 of 20" in figure.caption and "net00" in figure.caption and "net15" not in figure.caption
    )
