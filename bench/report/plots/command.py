"""``bench plot``: plots for papers and slides, from records alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.manifest import BASE_VARIANT
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.optional_packages import require
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.records.load import read_all, warn_unreadable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("curves", "pareto", "ablation", "samples")


@dataclass(frozen=True)
class Selection:
    """The rows to plot, and the options of the plot."""

    names: Sequence[str]  # submissions; empty for all
    track: str | None
    profile: str
    values: Sequence[str]  # names of logged curves; empty for the default ones
    cost: str  # cost on the x-axis of ``pareto``, a key of COSTS


def plot_command(
    kind: str, results: Path, output: Path, selection: Selection, submissions: Path = Path("submissions")
) -> ExitCode:
    """Write one plot per track (for ablations: per submission) as SVG and PNG, and print the paths.

    Raises:
        NothingToDo: If no record is selected.
        UsageError: If an option is wrong, or the records have nothing of that kind to plot.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r}: give {', '.join(KINDS)}")
    require("matplotlib", "bench plot")
    records, problems = read_all(results)
    records, _ = with_current_claims(records, submissions)
    warn_unreadable(problems)
    rows = [row for row in summarize(records) if _selected(row, kind, selection)]
    if not rows:
        selected = " ".join(filter(None, [*selection.names, selection.track, f"profile {selection.profile}"]))
        raise NothingToDo(f"{results}: no record of {selected}")
    from bench.report.plots.style import save

    for name, figure in _figures(kind, rows, results, selection):
        for path in save(figure, output, name):
            print(path)
    return ExitCode.USAGE if problems else ExitCode.OK


def _selected(row: Row, kind: str, selection: Selection) -> bool:
    """Return whether a row is plotted; a variant is plotted only if named, or in an ablation."""
    first = row.representative
    if first.protocol.profile != selection.profile or selection.track not in (None, first.protocol.track):
        return False
    if kind == "ablation":
        return not selection.names or first.identity.submission in selection.names
    if not selection.names:
        return first.identity.variant == BASE_VARIANT
    return row.label in selection.names


def _figures(kind: str, rows: list[Row], results: Path, selection: Selection) -> Iterator[tuple[str, "Figure"]]:
    """Yield (file name without extension, figure); groups with nothing to plot are skipped.

    Raises:
        UsageError: If there is nothing to plot at all.
    """
    draw = _drawer(kind, results, selection)
    problems, drawn = [], 0
    for name, group in groupby(sorted(rows, key=lambda row: _name(kind, row)), lambda row: _name(kind, row)):
        try:
            figure = draw(list(group))
        except UsageError as error:
            problems.append(str(error))
            continue
        drawn += 1
        yield f"{name}-{selection.cost}" if kind == "pareto" else name, figure
    if not drawn:
        raise UsageError("; ".join(dict.fromkeys(problems)))


def _name(kind: str, row: Row) -> str:
    protocol = row.representative.protocol
    suffix = f"-{row.representative.identity.submission}" if kind == "ablation" else ""
    return f"{kind}-{protocol.track}-{protocol.profile}{suffix}"


def _drawer(kind: str, results: Path, selection: Selection) -> Callable[[list[Row]], "Figure"]:
    if kind == "curves":
        from bench.report.plots.curves import curves_figure

        return lambda rows: curves_figure(rows, selection.values)
    if kind == "pareto":
        from bench.report.plots.pareto import pareto_figure

        return lambda rows: pareto_figure(rows, selection.cost)
    if kind == "samples":
        from bench.report.plots.samples import samples_figure

        return lambda rows: samples_figure(rows, results)
    from bench.report.plots.changes import ablation_figure

    return ablation_figure
