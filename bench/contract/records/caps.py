"""Caps and budgets: which of them a run exceeds."""

from collections.abc import Iterator

from bench.contract.records.record import Cost
from bench.contract.tracks import Protocol


def exceeded(protocol: Protocol, cost: Cost, steps: int, batch_size: int) -> dict[str, str]:
    """Return the violated caps and budgets: short label -> line with the value found and the value allowed.

    Args:
        protocol: With the caps and the budget.
        cost: Of one image and one training step.
        steps: Training steps of the run.
        batch_size: Images per step.
    """
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
    reasons |= _over_later_caps(protocol, cost, steps, batch_size)
    if steps > protocol.steps:
        reasons["over the budget"] = f"{steps:,} steps, budget {protocol.steps:,}"
    return reasons


def counts_of(cost: Cost, steps: int, batch_size: int) -> dict[str, int | None]:
    """Return what a run uses of the caps on operations, bytes and images: field of ``Caps`` -> count.

    The bytes of the weights are None in older records, which lack them.
    """
    return {
        "macs_per_image": cost.macs_per_image,
        "training_flops": cost.training_flops_per_step * steps,
        "weight_bytes": cost.weight_bytes,
        "images_seen": batch_size * steps,
    }


def _over_later_caps(protocol: Protocol, cost: Cost, steps: int, batch_size: int) -> Iterator[tuple[str, str]]:
    """Yield label and line of the violated caps on operations, bytes and images."""
    evaluations = cost.evaluations_per_sample
    calls = f" in {evaluations:,} network evaluations" if evaluations > 1 else ""
    flops, parts = cost.training_flops_per_step, f"batch size {batch_size:,} × {steps:,} steps"
    found = {
        "macs_per_image": ("MACs", f"{cost.bound}{{}} MACs per image{calls}"),
        "training_flops": ("training FLOPs", f"{{}} training FLOPs ({flops:,} per step × {steps:,} steps)"),
        "weight_bytes": ("weight bytes", "{} bytes of weights"),
        "images_seen": ("images seen", f"{{}} images seen ({parts})"),
    }
    for name, count in counts_of(cost, steps, batch_size).items():
        cap: int | None = getattr(protocol.caps, name)
        label, line = found[name]
        if cap is not None and count is None:
            yield f"{label} not counted", f"{label} not counted in this older record, cap {cap:,}; run it again"
        elif cap is not None and count is not None and count > cap:
            yield f"over the cap on {label}", f"{line.format(f'{count:,}')}, cap {cap:,}"


def over_caps(protocol: Protocol, cost: Cost, steps: int, batch_size: int) -> list[str]:
    """Return one line per violated cap or budget."""
    return list(exceeded(protocol, cost, steps, batch_size).values())
