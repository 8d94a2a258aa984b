"""Normalisation of uint8 images as the first layer of a network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def to_unit_range(images: Tensor) -> Tensor:
    """Convert uint8 images to float32 in [0, 1], in channels-last memory format.

    Args:
        images: (B, C, H, W) uint8. float32 images in channels-last format are not copied but overwritten.

    Returns:
        (B, C, H, W) float32, equal to the result of torchvision's ``ToTensor`` for each image.
    """
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


class Normalize(nn.Module):
    """Normalisation per channel, ``(x / 255 - mean) / std``; (B, C, H, W) uint8 -> float32.

    Only for uint8: float32 images in channels-last format are overwritten. ``Standardize`` accepts both.

    ``mean`` and ``std`` are non-persistent buffers, since they are constants of the data and not learned.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Register the two buffers.

        Args:
            mean: C values in [0, 1].
            std: C values above 0, on the same scale.
        """
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return to_unit_range(images).sub_(self.mean).div_(self.std)
