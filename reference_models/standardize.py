"""Like ``Normalize``, for images of any dtype: what comes in is never written to."""

import torch
from torch import Tensor

from reference_models.normalize import Normalize


class Standardize(Normalize):
    """``(x / 255 - mean) / std`` per channel: (B, C, H, W) with values from 0 to 255 -> float32.

    ``Normalize`` computes in place on a copy, which ``Tensor.to`` makes only where it has something to change: of
    float32 images in channels-last order it makes none, and overwrites them. It stays as it is for the sake of
    the runs that were made with it; they all give it bytes. This one may be given bytes or floats, and as often as
    one likes.
    """

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.to(torch.float32, memory_format=torch.channels_last) / 255
        return scaled.sub_(self.mean).div_(self.std)
