"""Eligibility of finished runs for the ranking: caps, budget, data, and copies of training images."""

from bench.contract.records.record import Cost, DataUsed, Evaluation, Training
from bench.contract.tracks import OFFICIAL, Protocol

# Limit of nearer_than_held_out, a fraction of pairs of a sample and a held-out image; about 0.5 without copying.
COPIES = 0.9
# Limit of nearer_than_closest_1_percent, the fraction of samples as near to a training image as the nearest 1 % of
# held-out images are; 0.01 without copying.
CLOSE_COPIES = 0.1


def exceeded(protocol: Protocol, cost: Cost, steps: int) -> dict[str, str]:
    """Return the violated caps and budgets: short label -> line with the value found and the value allowed."""
    caps, reasons = protocol.caps, {}
    if caps.params is not None and cost.params > caps.params:
        largest = sorted(cost.params_by_module.items(), key=lambda item: -item[1])[:3]
        parts = ", ".join(f"{name} {count:,}" for name, count in largest)
        reasons["over the cap"] = f"{cost.params:,} params, cap {caps.params:,}; the largest parts: {parts}"
    if caps.stored_scalars is not None and cost.stored_scalars > caps.stored_scalars:
        reasons["over the cap on stored scalars"] = (
            f"{cost.stored_scalars:,} stored scalars ({cost.inference_params:,} in parameters, "
            f"{cost.inference_buffers:,} in buffers, {cost.inference_plain:,} in plain attributes), "
            f"cap {caps.stored_scalars:,}"
        )
    if steps > protocol.steps:
        reasons["over the budget"] = f"{steps:,} steps, budget {protocol.steps:,}"
    return reasons


def over_caps(protocol: Protocol, cost: Cost, steps: int) -> list[str]:
    """Return one line per violated cap or budget."""
    return list(exceeded(protocol, cost, steps).values())


def reasons_against_ranking(
    protocol: Protocol, data: DataUsed, cost: Cost, training: Training, evaluation: Evaluation
) -> list[str]:
    """Return the reasons why a finished run is not ranked; empty if it is."""
    reasons = over_caps(protocol, cost, training.steps)
    for name, updates in (training.updates or {}).items():
        if updates > protocol.steps:
            reasons.append(f"optimizer {name} took {updates:,} steps, budget {protocol.steps:,}")
    if protocol.profile != OFFICIAL:
        reasons.append(f"profile {protocol.profile}")
    if data.stand_in_for is not None:
        reasons.append(f"data {data.name} instead of {data.stand_in_for}")
    if protocol.task == "generation" and protocol.metric.name not in evaluation.metrics:
        reasons.append("FID is not measured")
    close = evaluation.metrics.get("nearer_than_closest_1_percent", 0.0)
    if close >= CLOSE_COPIES:
        reasons.append(f"{close:.0%} of the samples are as near to a training image as 1% of held-out images are")
    copied = evaluation.metrics.get("nearer_than_held_out", 0.0)
    if copied >= COPIES:
        reasons.append(f"{copied:.0%} of the samples are nearer to a training image than held-out images are")
    if evaluation.batch_independent is False:
        reasons.append("predictions depend on the rest of the batch")
    return reasons
