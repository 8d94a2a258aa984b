"""An ablation as a picture: each variant's difference from the base with its interval, and the paper's."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bench.errors import UsageError
from bench.report.ablation import changes_against, measure_of, ordered_variants, paper_difference
from bench.report.plots.style import FAINT, INK, colour, new_figure, settings
from bench.report.summary import Row


def ablation_figure(rows: Sequence[Row], texts: dict[str, str] | None = None) -> Figure:
    """Differences from the base, paired by seed.

    Args:
        rows: Of one submission under one protocol, the base among them.
        texts: Variant -> the change in words; a variant without goes by its name.

    Raises:
        UsageError: If there is no base, or no variant that shares a seed with it.
    """
    base, rows = ordered_variants(rows, texts or {})
    measure = measure_of(base)
    others = [row for row in rows if row is not base]
    drawn = list(zip(others, changes_against(base, others, measure, as_published=False), strict=True))
    drawn = [(row, change) for row, change in drawn if change.difference is not None]
    if not drawn:
        raise UsageError(f"{base.label}: no variant has a finished run of a seed that the base has too")
    with settings():
        figure, (axes,) = new_figure(1.3 + 0.42 * len(drawn))
        axes.axvline(0, color=INK, linewidth=1, alpha=FAINT)
        for place, (row, change) in enumerate(drawn):
            found = change.difference
            assert found is not None
            if found.low is not None and found.high is not None:
                ends = [measure.scale * found.low, measure.scale * found.high]
                axes.plot(ends, [place, place], color=colour(0), solid_capstyle="butt")
            label = "here, 95 % interval over seeds" if place == 0 else None
            axes.plot(measure.scale * found.mean, place, "o", color=colour(0), label=label)
            paper = paper_difference(row, base, measure)
            if paper is not None:
                axes.plot(measure.scale * paper, place, "D", mfc="none", color=colour(1), label="paper")
        names = [(texts or {}).get(row.first.identity.variant) or row.first.identity.variant for row, _ in drawn]
        axes.set_yticks(range(len(drawn)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        unit = " in points" if measure.scale == 100 else ""
        axes.set(xlabel=f"difference of {measure.title.removesuffix(' %')}{unit} from the base")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles.keys(), fontsize="small", loc="outside lower center", ncols=2)
        axes.set_title(f"{base.label}, {base.first.protocol.profile}: {base.first.protocol.track}")
    return figure
