"""Log training curves: means over windows of steps, accumulated on the device until a window ends."""

import math

import torch
from torch import Tensor

from bench.contract.records.record import Curves
from bench.errors import ContractError

WINDOWS = 100  # windows per training
MAX_NAMES = 256  # different names of logged values per training
MAX_NAME_LENGTH = 60  # characters


class Diverged(Exception):
    """A loss, another logged value or logits are not finite; the message names the step or the function."""


class CurveLog:
    """The values that ``train_step`` returns, averaged per window.

    The host synchronises with the device once per window, not once per step.
    """

    def __init__(self, steps: int) -> None:
        count = min(steps, WINDOWS)
        self._ends = [steps * (index + 1) // count for index in range(count)]
        self._pending: dict[str, list[Tensor]] = {}
        self._curves: dict[str, list[float | None]] = {}
        self._closed = 0

    @property
    def last_loss(self) -> float | None:
        """Mean loss over the last complete window; None before the first."""
        losses = self._curves.get("loss")
        return losses[-1] if losses else None

    def add(self, step: int, values: dict[str, Tensor]) -> None:
        """Log the values of one step.

        Raises:
            ContractError: If ``check_step_values`` refuses the values, or the training has logged too many names.
            Diverged: At the end of a window in which a value was not finite.
        """
        check_step_values(values)
        for name, value in values.items():
            self._pending.setdefault(name, []).append(value.detach())
        if step + 1 == self._ends[self._closed]:
            self._close(step + 1)

    def _close(self, steps_done: int) -> None:
        """End a window: compute its means on the host."""
        if len(self._curves.keys() | self._pending.keys()) > MAX_NAMES:
            raise ContractError(
                f"train_step returned more than {MAX_NAMES} different names, {MAX_NAMES} are allowed; use the "
                "same names in every step"
            )
        for name, pending in self._pending.items():
            mean = torch.stack(pending).float().mean().item()
            if not math.isfinite(mean):
                first = 1 + (self._ends[self._closed - 1] if self._closed else 0)
                where = f"step {steps_done:,}" if first == steps_done else f"steps {first:,} to {steps_done:,}"
                raise Diverged(f"the mean of `{name}` is {mean} in {where}")
            self._curves.setdefault(name, [None] * self._closed).append(mean)
        for name in self._curves.keys() - self._pending.keys():  # such as a value logged every fifth step
            self._curves[name].append(None)
        self._pending = {}
        self._closed += 1

    def result(self) -> Curves:
        """Return the curves up to the last complete window."""
        return Curves(steps=self._ends[: self._closed], values=self._curves)

    def state(self) -> dict[str, object]:
        """Return the state to save in a checkpoint."""
        pending = {name: torch.stack(values) for name, values in self._pending.items()}
        return {"pending": pending, "curves": self._curves, "closed": self._closed}

    def restore(self, state: dict[str, object]) -> None:
        """Restore the state that ``state`` returned."""
        pending, curves, closed = state["pending"], state["curves"], state["closed"]
        assert isinstance(pending, dict) and isinstance(curves, dict) and isinstance(closed, int)
        self._pending = {name: list(values.unbind()) for name, values in pending.items()}
        self._curves = curves
        self._closed = closed


def check_step_values(values: object) -> None:
    """Check the values that ``train_step`` returned.

    Raises:
        ContractError: Unless ``values`` is a dict of 0-dimensional tensors with a ``loss``.
    """
    if not isinstance(values, dict) or "loss" not in values:
        kind = sorted(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise ContractError(f"train_step returned {kind}; it must return a dict of tensors with the key 'loss'")
    for name, value in values.items():
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            raise ContractError(
                f"train_step returned the key {name!r}; a key must be a string of 1 to {MAX_NAME_LENGTH} "
                "printable characters"
            )
        if not isinstance(value, Tensor) or value.ndim != 0:
            shape_or_type = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ContractError(
                f"train_step returned {name!r} as {shape_or_type}; it must be a 0-dimensional tensor"
            )
