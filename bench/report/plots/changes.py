"""The plot of an ablation: the difference of each variant from the base with its interval, and the paper's."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bench.errors import UsageError
from bench.report.claims.ablation import changes_against, ordered_variants, paper_difference
from bench.report.plots.style import FAINT, INK, colour, new_figure, settings
from bench.report.records.aggregate import Row


def ablation_figure(rows: Sequence[Row], texts: dict[str, str] | None = None) -> Figure:
    """Plot the differences from the base, paired by seed.

    Args:
        rows: Rows of one submission under one protocol, including the base.
        texts: Variant -> description of the change; a variant without one is labelled by its name.

    Raises:
        UsageError: If there is no base, or no variant that shares a seed with it.
    """
    base, rows = ordered_variants(rows, texts or {})
    score = base.ranking_metric
    variants = [row for row in rows if row is not base]
    drawn = list(zip(variants, changes_against(base, variants, as_published=False), strict=True))
    drawn = [(row, change) for row, change in drawn if change.difference is not None]
    if not drawn:
        raise UsageError(f"{base.label}: no variant has a finished run of the same seed as the base")
    with settings():
        figure, (axes,) = new_figure(1.3 + 0.42 * len(drawn))
        axes.axvline(0, color=INK, linewidth=1, alpha=FAINT)
        for position, (row, change) in enumerate(drawn):
            difference = change.difference
            assert difference is not None
            if difference.low is not None and difference.high is not None:
                interval = [score.scale * difference.low, score.scale * difference.high]
                axes.plot(interval, [position, position], color=colour(0), solid_capstyle="butt")
            label = "ours, 95 % interval over seeds" if position == 0 else None
            axes.plot(score.scale * difference.mean, position, "o", color=colour(0), label=label)
            paper = paper_difference(row, base)
            if paper is not None and base.ranks_by_claimed:
                axes.plot(score.scale * paper, position, "D", mfc="none", color=colour(1), label="paper")
        names = [
            (texts or {}).get(row.representative.identity.variant) or row.representative.identity.variant
            for row, _ in drawn
        ]
        axes.set_yticks(range(len(drawn)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        points = " in points" if score.scale == 100 else ""
        axes.set(xlabel=f"difference of {score.title.removesuffix(score.unit)}{points} from the base")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles.keys(), fontsize="small", loc="outside lower center", ncols=2)
        axes.set_title(
            f"{base.label}, {base.representative.protocol.profile}: {base.representative.protocol.track}"
        )
    return figure
