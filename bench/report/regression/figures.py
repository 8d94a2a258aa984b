"""The recorded figures that the gate can check besides the metric that ranks: metrics, memory, time and energy."""

from bench.contract.metrics import SHOWN, Metric
from bench.report.records.aggregate import Row

# Field of ``Timing`` -> its figure. They vary from run to run, and seeds show by how much.
OF_TIMING = {
    "peak_memory_bytes": Metric("memory", "memory", "memory", "memory, GiB", "lower", scale=2**-30),
    "training_seconds": Metric("training_seconds", "training_seconds", "training", "s", "lower", digits=1),
    "training_joules": Metric("training_joules", "training_joules", "energy", "kJ", "lower", scale=1e-3),
}
FIGURES: dict[str, Metric] = {
    metric.key: metric
    for metrics in (*SHOWN.values(), tuple(OF_TIMING.values()))
    for metric in metrics
    if metric.better is not None
}


def by_seed(row: Row, figure: Metric) -> dict[int, float]:
    """Return the figure of each finished run: seed -> value; runs without it are left out."""
    field = next((name for name, metric in OF_TIMING.items() if metric.key == figure.key), None)
    if field is None:
        return row.by_seed(figure.at(row.representative.protocol.samples).name)
    values = {record.identity.seed: getattr(record.timing, field) for record in row.finished}
    return {seed: float(value) for seed, value in values.items() if value is not None}


def applies(row: Row, figure: Metric) -> bool:
    """Return whether runs of the row's task have the figure."""
    task = row.representative.protocol.task
    return figure in SHOWN[task] or figure in OF_TIMING.values()
