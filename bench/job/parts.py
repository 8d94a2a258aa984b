"""The parts of an interrupted training, and what each was computed under.

The last process alone writes the report; without the others a record would say that one machine, thread count or
version had trained what two did.
"""

from itertools import pairwise
from typing import Any

NOT_RECORDED = {"conditions": "not recorded"}


def with_part(parts: list[dict[str, Any]], step: int, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """``parts`` and one that begins at ``step``, which is none of its own under the conditions of the last."""
    if not parts and step > 0:  # a checkpoint of a version that did not keep them
        parts = [{"from_step": 0, "conditions": NOT_RECORDED}]
    if parts and parts[-1]["conditions"] == conditions:
        return parts
    return [*parts, {"from_step": step, "conditions": conditions}]


def earlier_parts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the last, each as its steps and what of its conditions was otherwise than in the last.

    The step that a part ends at is the first of the next.
    """
    last = parts[-1]["conditions"]
    return [
        {"from_step": part["from_step"], "to_step": following["from_step"], **_otherwise(part["conditions"], last)}
        for part, following in pairwise(parts)
    ]


def _otherwise(conditions: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    if conditions == NOT_RECORDED:
        return conditions
    names = sorted(conditions.keys() | last.keys())
    return {name: conditions.get(name) for name in names if conditions.get(name) != last.get(name)}
