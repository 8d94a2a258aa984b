"""Where the time of a training step goes, as a job's process measured it."""

from typing import Any

from bench.contract.strict import Strict

# The parts of a step, in the order in which pictures stack them.
PARTS = ("data", "augmentation", "forward", "loss and the rest", "backward", "optimizer", "harness")


class Operator(Strict):
    """One of torch's operators within a step."""

    name: str
    calls: float  # a step
    milliseconds: float  # a step, without the operators that it calls


class StepProfile(Strict):
    """A submission's training step; times are medians over steps, in milliseconds."""

    batch_size: int
    steps: int  # that were watched
    unwatched: float  # a step that nothing watches
    parts: dict[str, float]  # of a watched step
    operators: list[Operator]  # the most expensive first
    waits: list[str]  # where the step would wait for a GPU, in the submission's code
    environment: dict[str, Any]

    @property
    def watched(self) -> float:
        """All parts together: a little more than an unwatched step takes."""
        return sum(self.parts.values())
