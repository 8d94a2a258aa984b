"""A variant of ``Normalize`` for images of any dtype that never modifies its input."""

import torch
from torch import Tensor

from reference_models.normalize import Normalize


class Standardize(Normalize):
    """Normalisation per channel, ``(x / 255 - mean) / std``; (B, C, H, W) with values from 0 to 255 -> float32.

    ``Normalize`` computes in place on the result of ``Tensor.to``, which makes no copy of float32 images in
    channels-last format, so these are overwritten. It is not changed, since its code is hashed into committed
    results; all of them use it on uint8 only. This class accepts uint8 and float images and never modifies them.
    """

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.to(torch.float32, memory_format=torch.channels_last) / 255
        return scaled.sub_(self.mean).div_(self.std)
