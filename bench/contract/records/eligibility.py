"""Eligibility of finished runs for the ranking: caps and budgets, profile, data, and copies of training images."""

from bench.contract.records.caps import over_caps
from bench.contract.records.record import Cost, DataUsed, Evaluation, Training
from bench.contract.tracks import OFFICIAL, Protocol

# Limit of nearer_than_held_out, a fraction of pairs of a sample and a held-out image; about 0.5 without copying.
COPIES = 0.9
# Limit of nearer_than_closest_1_percent, the fraction of samples as near to a training image as the nearest 1 % of
# held-out images are; 0.01 without copying.
CLOSE_COPIES = 0.1


def reasons_against_ranking(
    protocol: Protocol, data: DataUsed, cost: Cost, training: Training, evaluation: Evaluation
) -> list[str]:
    """Return the reasons why a finished run is not ranked; empty if it is."""
    reasons = over_caps(protocol, cost, training.steps, training.batch_size)
    for name, updates in (training.updates or {}).items():
        if updates > protocol.steps:
            reasons.append(f"optimizer {name} took {updates:,} steps, budget {protocol.steps:,}")
    if protocol.profile != OFFICIAL:
        reasons.append(f"profile {protocol.profile}")
    if data.stand_in_for is not None:
        reasons.append(f"data {data.name} instead of {data.stand_in_for}")
    chosen = protocol.task == "generation" or protocol.rank_by is not None
    if chosen and protocol.metric.name not in evaluation.metrics:
        reasons.append(f"{protocol.metric.label} is not measured")
    close = evaluation.metrics.get("nearer_than_closest_1_percent", 0.0)
    if close >= CLOSE_COPIES:
        reasons.append(f"{close:.0%} of the samples are as near to a training image as 1% of held-out images are")
    copied = evaluation.metrics.get("nearer_than_held_out", 0.0)
    if copied >= COPIES:
        reasons.append(f"{copied:.0%} of the samples are nearer to a training image than held-out images are")
    if evaluation.batch_independent is False:
        reasons.append("predictions depend on the rest of the batch")
    return reasons
