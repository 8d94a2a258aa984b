"""A speed before and now, measured by turns on one machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeedRatio:
    """How fast something is now in comparison: 1 is the same, 0.9 a tenth slower."""

    name: str  # of the submission
    what: str  # "training steps" or "inference calls"
    before_per_s: float | None = None
    now_per_s: float | None = None
    ratio: float | None = None  # the median over rounds; None where it could not be measured
    low: float | None = None  # of its 95 % interval
    high: float | None = None
    rounds: int = 0
    why: str = ""  # it could not be measured
