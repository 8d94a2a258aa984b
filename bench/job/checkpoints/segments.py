"""The segments of a resumed training: ranges of steps, each computed under the same conditions.

Only the last process writes the report. Without the segments a record would name one machine, thread count or
version for a training that used two.
"""

from itertools import pairwise
from typing import Any

NOT_RECORDED = {"conditions": "not recorded"}


def with_segment(segments: list[dict[str, Any]], step: int, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``segments`` with one that begins at ``step``; under unchanged conditions the last one continues."""
    if not segments and step > 0:  # the checkpoint's version did not save segments
        segments = [{"from_step": 0, "conditions": NOT_RECORDED}]
    if segments and segments[-1]["conditions"] == conditions:
        return segments
    return [*segments, {"from_step": step, "conditions": conditions}]


def earlier_segments(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all segments but the last, each with its steps and the conditions that differ from the last one's.

    ``to_step`` is exclusive: it is the first step of the following segment.
    """
    last = segments[-1]["conditions"]
    return [
        {
            "from_step": segment["from_step"],
            "to_step": following["from_step"],
            **_differing(segment["conditions"], last),
        }
        for segment, following in pairwise(segments)
    ]


def _differing(conditions: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of ``conditions`` whose value in ``last`` differs; None for an entry only in ``last``."""
    if conditions == NOT_RECORDED:
        return conditions
    names = sorted(conditions.keys() | last.keys())
    return {name: conditions.get(name) for name in names if conditions.get(name) != last.get(name)}
