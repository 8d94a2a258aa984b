"""The parts of an interrupted training, and what each was computed under.

The last process alone writes the report; without the others a record would say that one machine, thread count or
version had trained what two did.
"""

from itertools import pairwise
from typing import Any


def with_part(parts: list[dict[str, Any]], step: int, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """``parts`` and one that begins at ``step``, which is none of its own under the conditions of the last."""
    if parts and parts[-1]["conditions"] == conditions:
        return parts
    return [*parts, {"from_step": step, "conditions": conditions}]


def earlier_parts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the last, each as its steps and what of its conditions was otherwise than in the last.

    The step that a part ends at is the first of the next.
    """
    last = parts[-1]["conditions"]
    return [
        {"from_step": part["from_step"], "to_step": following["from_step"]}
        | {name: part["conditions"].get(name) for name in _different(part["conditions"], last)}
        for part, following in pairwise(parts)
    ]


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
