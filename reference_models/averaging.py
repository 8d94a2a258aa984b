"""Exponential moving average of a network's weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """A copy of a network's parameters that follows them: ``average = decay · average + (1 - decay) · weights``.

    Until ``start`` updates were made the copy is plain, so that the initial weights leave no trace.
    """

    def __init__(self, network: nn.Module, *, decay: float, start: int = 0) -> None:
        """Copy the parameters of ``network``.

        Args:
            network: What is averaged; its buffers are not.
            decay: In [0, 1).
            start: Number of updates that copy.
        """
        self.decay = decay
        self.start = start
        self._updates = 0
        self._network = network
        self._average = [parameter.detach().clone() for parameter in network.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Follow the network; call it once after each optimizer step."""
        parameters = [parameter.detach() for parameter in self._network.parameters()]
        if self._updates < self.start:
            torch._foreach_copy_(self._average, parameters)
        else:
            torch._foreach_lerp_(self._average, parameters, 1 - self.decay)
        self._updates += 1

    def averaged_weights(self) -> dict[str, Tensor]:
        """The network's state dict with its parameters replaced by their averages."""
        names = [name for name, _ in self._network.named_parameters()]
        return {**self._network.state_dict(), **dict(zip(names, self._average, strict=True))}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"updates": self._updates, "average": self._average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self._updates = state["updates"]
        for mine, saved in zip(self._average, state["average"], strict=True):
            mine.copy_(saved)
