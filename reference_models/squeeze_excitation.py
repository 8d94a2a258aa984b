"""Squeeze-and-excitation (Hu et al. 2018, arXiv 1709.01507, section 3)."""

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Channel-wise gates computed from the means of all channels; (B, C, H, W) -> (B, C, H, W).

    Mean over pixels, linear C -> C/r, ReLU, linear C/r -> C, sigmoid, multiply (equations 2 to 4). With biases it
    has ``2 C²/r + C/r + C`` parameters.
    """

    def __init__(self, channels: int, *, reduction: int = 16, bias: bool = True) -> None:
        """Create the layers.

        Args:
            channels: C.
            reduction: r; must divide C.
            bias: Whether the two linear layers have biases, as in the paper.

        Raises:
            ValueError: If r does not divide C.
        """
        super().__init__()
        if channels % reduction:
            raise ValueError(f"`reduction` is {reduction}; it must divide the {channels} channels")
        self.squeeze = nn.Linear(channels, channels // reduction, bias=bias)
        self.relu = nn.ReLU()
        self.excite = nn.Linear(channels // reduction, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.excite(self.relu(self.squeeze(x.mean((2, 3)))))
        return x * gate.sigmoid()[:, :, None, None]
