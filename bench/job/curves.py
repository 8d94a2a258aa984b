"""The training curve: means over windows of steps, kept on the device until a window ends."""

import math

import torch
from torch import Tensor

from bench.contract.records import Curves
from bench.errors import ContractError

WINDOWS = 100
MOST_NAMES = 256  # of values that a training logs
LONGEST_NAME = 60  # characters


class Diverged(Exception):
    """The loss is no longer finite; the message says where."""


class CurveLog:
    """Collects what ``train_step`` returns. The host waits for the device once a window, not once a step."""

    def __init__(self, steps: int) -> None:
        count = min(steps, WINDOWS)
        self._ends = [steps * (index + 1) // count for index in range(count)]
        self._pending: dict[str, list[Tensor]] = {}
        self._curves: dict[str, list[float | None]] = {}
        self._closed = 0

    @property
    def last_loss(self) -> float | None:
        """Mean loss over the last full window."""
        losses = self._curves.get("loss")
        return losses[-1] if losses else None

    def add(self, step: int, values: dict[str, Tensor]) -> None:
        """Log one step's values.

        Raises:
            ContractError: If the values are not the promised ones.
            Diverged: At the end of a window in which the loss was not finite.
        """
        check_step_values(values)
        for name, value in values.items():
            self._pending.setdefault(name, []).append(value.detach())
        if step + 1 == self._ends[self._closed]:
            self._close(step + 1)

    def _close(self, steps_done: int) -> None:
        if len(self._curves.keys() | self._pending.keys()) > MOST_NAMES:
            raise ContractError(f"train_step has returned over {MOST_NAMES} names; a name is for all steps")
        for name, pending in self._pending.items():
            mean = torch.stack(pending).float().mean().item()
            if not math.isfinite(mean):
                raise Diverged(f"`{name}` is {mean} in the {len(pending)} steps up to step {steps_done}")
            self._curves.setdefault(name, [None] * self._closed).append(mean)
        for name in self._curves.keys() - self._pending.keys():  # such as what is logged every fifth step
            self._curves[name].append(None)
        self._pending = {}
        self._closed += 1

    def result(self) -> Curves:
        """The curves so far."""
        return Curves(steps=self._ends[: self._closed], values=self._curves)

    def state(self) -> dict[str, object]:
        """What a checkpoint keeps."""
        pending = {name: torch.stack(values) for name, values in self._pending.items()}
        return {"pending": pending, "curves": self._curves, "closed": self._closed}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from ``state()``."""
        pending, curves, closed = state["pending"], state["curves"], state["closed"]
        assert isinstance(pending, dict) and isinstance(curves, dict) and isinstance(closed, int)
        self._pending = {name: list(values.unbind()) for name, values in pending.items()}
        self._curves = curves
        self._closed = closed


def check_step_values(values: object) -> None:
    """Check what ``train_step`` returned.

    Raises:
        ContractError: Unless ``values`` is a dict of 0-dimensional tensors with a ``loss``.
    """
    if not isinstance(values, dict) or "loss" not in values:
        kind = sorted(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise ContractError(f"train_step returned {kind}; it must return a dict of tensors with 'loss'")
    for name, value in values.items():
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise ContractError(
                f"train_step returned {name!r}; a name is text in one line of at most {LONGEST_NAME} characters"
            )
        if not isinstance(value, Tensor) or value.ndim != 0:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ContractError(f"train_step returned {name!r} as {found}; it must be a 0-dimensional tensor")
