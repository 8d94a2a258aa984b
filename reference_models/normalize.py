"""From raw bytes to what a network likes: networks receive uint8 and normalise themselves."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1], in channels-last memory order.

    Args:
        images: (B, C, H, W) uint8. Of float32 in channels-last order no copy is made, and they are overwritten.

    Returns:
        (B, C, H, W) float32: what torchvision's ``ToTensor`` gives, for a batch.
    """
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


class Normalize(nn.Module):
    """``(x / 255 - mean) / std`` a channel, of uint8 images; (B, C, H, W) uint8 -> float32.

    For bytes alone: float32 images in channels-last order are overwritten. ``Standardize`` takes either.

    The two vectors are buffers outside the state dict: they are constants of the data, not learned.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Keep the two vectors.

        Args:
            mean: C values in [0, 1].
            std: C values above 0, in the same unit.
        """
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return to_unit_range(images).sub_(self.mean).div_(self.std)
