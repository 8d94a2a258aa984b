"""What official runs cost: seconds, arithmetic, and joules where they could be measured."""

from collections.abc import Sequence

from bench.contract.records import Record
from bench.report.columns import device_of
from bench.report.summary import Row
from bench.report.tables import NOTHING, grid, spread_text
from bench.stats.spreads import spread

TITLES = ("submission", "runs", "device", "side by side", "training, s", "evaluation, s", "TFLOP", "kJ", "hours")
LEGEND = (
    "Mean ± standard deviation of a run; hours are of all runs together. Training seconds are those of the steps, "
    "over all pieces of an interrupted run; evaluation includes sampling and its metrics.\nTFLOP are those of "
    "training, 2 × MACs of forward and backward passes. kJ are what the processor or GPU used while training, "
    "divided by the runs side by side;\na dash where the machine has no counter that may be read, or the run was "
    "interrupted."
)


def joules(record: Record) -> float | None:
    """A run's share of what its device used while it trained."""
    measured = record.timing.training_joules
    return None if measured is None else measured / record.environment.get("jobs_side_by_side", 1)


def cost_grid(rows: Sequence[Row], table: str) -> str:
    """A line for each row that has a finished training."""
    lines = [_cells(row) for row in rows if any(r.timing.training_seconds is not None for r in row.finished)]
    return grid(TITLES, lines, table)


def _cells(row: Row) -> list[str]:
    runs = row.finished
    training = [run.timing.training_seconds or 0.0 for run in runs]
    evaluation = [(run.timing.evaluation_seconds or 0.0) + (run.timing.scoring_seconds or 0.0) for run in runs]
    energy = [value for run in runs if (value := joules(run)) is not None]
    cost = row.first.cost
    return [
        row.label,
        str(len(runs)),
        device_of(row),
        ", ".join(sorted({str(run.environment.get("jobs_side_by_side", NOTHING)) for run in runs})),
        spread_text(spread(training), digits=0, with_n=False),
        spread_text(spread(evaluation), digits=0, with_n=False),
        NOTHING if cost is None else f"{cost.training_flops_per_step * row.steps / 1e12:,.1f}",
        spread_text(spread(energy), 1e-3, digits=1, with_n=False),
        f"{(sum(training) + sum(evaluation)) / 3600:.1f}",
    ]
