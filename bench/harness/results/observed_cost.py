"""Corrections of a verified cost by observations of the whole training and sampling."""

from bench.contract.jobs.reports import EvaluationReport, TrainingReport
from bench.contract.records.record import Cost


def as_trained(training: TrainingReport, cost: Cost) -> Cost:
    """Add buffers that training changed only after its first two steps to the cost's parameter count."""
    late = training.params_after - cost.params
    if late <= 0:
        return cost
    warning = f"{late:,} scalars in buffers changed only after the first training steps; they count as parameters"
    return cost.model_copy(
        update={
            "params": training.params_after,
            "params_by_module": {**cost.params_by_module, "buffers found after training": late},
            "warnings": [*(cost.warnings or []), warning],
        }
    )


def as_stored(stored_bytes: int, cost: Cost) -> Cost:
    """Replace the bytes of the verified weights by those of the trained weights, if they differ."""
    if stored_bytes == cost.weight_bytes or cost.weight_bytes is None:
        return cost.model_copy(update={"weight_bytes": stored_bytes})
    warning = f"the trained weights take {stored_bytes:,} bytes, but {cost.weight_bytes:,} during verification"
    return cost.model_copy(update={"weight_bytes": stored_bytes, "warnings": [*(cost.warnings or []), warning]})


def as_sampled(report: EvaluationReport, cost: Cost) -> Cost:
    """Scale the cost to the counted network evaluations of sampling, if they differ from the verified number."""
    evaluations = report.image_evaluations
    if evaluations is None or evaluations == cost.evaluations_per_sample * report.images:
        return cost
    mean = evaluations / report.images
    ratio = mean / cost.evaluations_per_sample
    warning = (
        f"sample evaluated the network {mean:,.2f} times per image, but {cost.evaluations_per_sample:,} times "
        "during verification; MACs are scaled to the first number"
    )
    return cost.model_copy(
        update={
            "evaluations_per_sample": mean,
            "macs_per_image": round(cost.macs_per_image * ratio),
            "macs_by_operator": {name: round(macs * ratio) for name, macs in cost.macs_by_operator.items()},
            "warnings": [*(cost.warnings or []), warning],
        }
    )
