"""The time of training steps by part, as stacked bars."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from bench.contract.jobs.timings import PARTS, StepProfile
from bench.report.plots.style import INK, PAPER, colour, new_figure, settings

# Adjacent parts also differ in hatching, so that they can be told apart without colour.
HATCHES = ("", "////", "", "....", "", "\\\\\\\\", "")
LEAST_LABELLED = 0.08  # fraction of the bar below which a part is too narrow for its label


def steps_figure(profiles: Mapping[str, StepProfile]) -> Figure:
    """Plot one bar per submission: the share of each part in its step, with the step's time in the label."""
    names = [f"{label}\n{profile.unwatched:.3g} ms" for label, profile in profiles.items()]
    with settings():
        figure, (axes,) = new_figure(1.2 + 0.45 * len(names))
        left = [0.0] * len(names)
        for index, part in enumerate(PARTS):
            widths = [100 * profile.parts[part] / profile.watched for profile in profiles.values()]
            if not any(widths):
                continue
            bars = axes.barh(
                range(len(names)),
                widths,
                left=left,
                color=PAPER if index == len(PARTS) - 1 else colour(index),
                edgecolor=INK,
                linewidth=0.6,
                hatch=HATCHES[index],
                label=part,
            )
            texts = [f"{width:.0f}" if width >= 100 * LEAST_LABELLED else "" for width in widths]
            for label in axes.bar_label(bars, texts, label_type="center", fontsize="small", color=INK):
                label.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1.0} if label.get_text() else None)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, 100), xlabel="% of a training step")
        figure.legend(fontsize="small", loc="outside lower center", ncols=4)
    return figure
