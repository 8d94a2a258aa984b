"""The cost of official runs: time, FLOPs, and energy where it could be measured."""

from collections.abc import Sequence

from bench.contract.metrics import Metric
from bench.contract.records.record import Record
from bench.report.records.aggregate import Row
from bench.report.tables.columns import device_of
from bench.report.tables.text import MISSING, grid, spread_text
from bench.stats.spreads import spread

SECONDS = Metric("seconds", "seconds", "seconds", "s", digits=0)
KILOJOULES = Metric("joules", "joules", "energy", "kJ", scale=1e-3, digits=1)
TITLES = ("submission", "runs", "device", "concurrent", "training, s", "evaluation, s", "TFLOP", "kJ", "hours")
LEGEND = (
    "Mean ± standard deviation per run; hours are the total of all runs. Training seconds are those of the steps, "
    "over all segments of a resumed run; evaluation includes sampling and its metrics.\nTFLOP are those of "
    "training, 2 × MACs of the forward and backward passes. kJ is the energy of the processor or GPU during "
    "training, divided by the number of concurrent runs;\na dash if the machine has no readable energy counter, "
    "or the run was interrupted."
)


def joules(record: Record) -> float | None:
    """Return a run's share of the energy that its device used during training; None if not measured."""
    measured = record.timing.training_joules
    return None if measured is None else measured / record.environment.get("jobs_side_by_side", 1)


def cost_grid(rows: Sequence[Row], table_format: str) -> str:
    """Return the table with one line per row that has a finished training."""
    lines = [_cells(row) for row in rows if any(r.timing.training_seconds is not None for r in row.finished)]
    return grid(TITLES, lines, table_format)


def _cells(row: Row) -> list[str]:
    runs = row.finished
    training = [run.timing.training_seconds or 0.0 for run in runs]
    evaluation = [(run.timing.evaluation_seconds or 0.0) + (run.timing.scoring_seconds or 0.0) for run in runs]
    energy = [value for run in runs if (value := joules(run)) is not None]
    cost = row.representative.cost
    return [
        row.label,
        str(len(runs)),
        device_of(row),
        ", ".join(sorted({str(run.environment.get("jobs_side_by_side", MISSING)) for run in runs})),
        spread_text(spread(training), SECONDS, with_n=False),
        spread_text(spread(evaluation), SECONDS, with_n=False),
        MISSING if cost is None else f"{cost.training_flops_per_step * row.steps / 1e12:,.1f}",
        spread_text(spread(energy), KILOJOULES, with_n=False),
        f"{(sum(training) + sum(evaluation)) / 3600:.1f}",
    ]
