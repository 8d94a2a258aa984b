"""A record as one flat row, for data frames and trackers of experiments."""

from typing import Any

from bench.contract.records.record import Record


def flat_record(record: Record) -> dict[str, Any]:
    """Return the scalars of a record by name; values have all digits, accuracies are fractions.

    Identity and protocol come first, under short names; then ``config.*``, ``metrics.*``, ``as_published.*``,
    ``cost.*``, ``training.*`` and ``timing.*``. Lists and nested fields, such as curves, are left out.
    """
    identity, protocol, environment = record.identity, record.protocol, record.environment
    repository = environment.get("repository") or {}
    row: dict[str, Any] = {
        "track": protocol.track,
        "profile": protocol.profile,
        "submission": identity.submission,
        "variant": identity.variant,
        "seed": identity.seed,
        "status": record.status,
        "ranked": record.ranked,
        "steps": identity.steps,
        "precision": identity.precision,
        "data": None if record.data is None else record.data.name,
        "device": environment.get("device"),
        "threads": environment.get("threads"),
        "commit": repository.get("commit"),
        "source_hash": identity.source_hash,
        "protocol_hash": protocol.hash,
        "record": record.checksum,
        "made_here": record.made_here,
    }
    evaluation = record.evaluation
    groups: dict[str, Any] = {
        "config": record.config,
        "metrics": {} if evaluation is None else evaluation.metrics,
        "as_published": {} if evaluation is None else evaluation.as_published,
        "cost": {} if record.cost is None else record.cost.model_dump(),
        "training": {} if record.training is None else record.training.model_dump(exclude={"curves"}),
        "timing": record.timing.model_dump(),
    }
    for group, values in groups.items():
        row |= {f"{group}.{name}": value for name, value in values.items() if _is_scalar(value)}
    rates = {"inference_images_per_s": record.timing.inference_images_per_s}
    rates["training_steps_per_s"] = record.timing.training_steps_per_s
    row |= {f"timing.{name}": rate.median_per_s for name, rate in rates.items() if rate is not None}
    return row


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
