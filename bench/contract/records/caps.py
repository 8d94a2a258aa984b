"""Caps and budgets: which of them a run exceeds."""

from bench.contract.records.record import Cost
from bench.contract.tracks import Protocol


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
