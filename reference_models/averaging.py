"""Exponential moving average of a network's weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """The moving average of a network's parameters: ``average = decay · average + (1 - decay) · weights``.

    The first ``start`` updates copy the weights instead, so that the initial weights have no influence.
    """

    def __init__(self, network: nn.Module, *, decay: float, start: int = 0) -> None:
        """Initialise the average with the parameters of ``network``.

        Args:
            network: The network to average; its buffers are not averaged.
            decay: Weight of the old average in an update, in [0, 1).
            start: Number of initial updates that copy the weights.
        """
        self.decay = decay
        self.start = start
        self._updates = 0
        self._network = network
        self._average = [parameter.detach().clone() for parameter in network.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Update the average; call this once after each optimizer step."""
        parameters = [parameter.detach() for parameter in self._network.parameters()]
        if self._updates < self.start:
            torch._foreach_copy_(self._average, parameters)
        else:
            torch._foreach_lerp_(self._average, parameters, 1 - self.decay)
        self._updates += 1

    def averaged_weights(self) -> dict[str, Tensor]:
        """Return the network's state dict with its parameters replaced by their averages."""
        names = [name for name, _ in self._network.named_parameters()]
        return {**self._network.state_dict(), **dict(zip(names, self._average, strict=True))}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"updates": self._updates, "average": self._average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from ``state_dict()``."""
        self._updates = state["updates"]
        for mine, saved in zip(self._average, state["average"], strict=True):
            mine.copy_(saved)
