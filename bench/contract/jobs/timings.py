"""Measured speeds: the parts of a training step, and speed ratios between two revisions."""

from dataclasses import dataclass
from typing import Any

from bench.contract.documents.schema import Strict

# The parts of a step, in the stacking order of plots.
PARTS = ("data", "augmentation", "forward", "loss and other code", "backward", "optimizer", "harness")


class Operator(Strict):
    """Cost of one torch operator in a training step."""

    name: str
    calls: float  # per step
    milliseconds: float  # per step, excluding the operators that it calls


class StepProfile(Strict):
    """A profile of a submission's training step; times are medians over steps, in milliseconds."""

    batch_size: int
    steps: int  # number of profiled steps
    unwatched: float  # time per step without profiler
    parts: dict[str, float]  # part -> time per profiled step
    operators: list[Operator]  # the most expensive first
    waits: list[str]  # lines of the submission's code that synchronise with a GPU
    environment: dict[str, Any]

    @property
    def watched(self) -> float:
        """Time per profiled step, the sum of all parts; slightly more than ``unwatched``."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class SpeedRatio:
    """Speed now divided by speed before: 1 is unchanged, 0.9 is 10 % slower."""

    name: str  # of the submission
    what: str  # "training steps" or "inference calls"
    before_per_s: float | None = None
    now_per_s: float | None = None
    ratio: float | None = None  # median over rounds; None if not measured
    low: float | None = None  # lower limit of the 95 % interval of ``ratio``
    high: float | None = None  # upper limit
    rounds: int = 0
    why: str = ""  # reason why it could not be measured
