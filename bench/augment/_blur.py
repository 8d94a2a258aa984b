"""Gaussian blur with a separate standard deviation for each image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment._draw import check_images, check_range, uniform


def gaussian_blur(
    images: Tensor,
    *,
    kernel_size: int,
    sigma: tuple[float, float] = (0.1, 2.0),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Blur with a standard deviation uniform in ``sigma``, in pixels, like torchvision's GaussianBlur.

    Args:
        images: (B, C, H, W) uint8.
        kernel_size: Pixels; odd, and less than twice the image's height and width.
        sigma: Lowest and highest standard deviation in pixels, above 0.
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images)
    check_range("sigma", sigma, 1e-6)
    if kernel_size < 1 or kernel_size % 2 == 0 or kernel_size // 2 >= min(images.shape[2:]):
        raise ValueError(f"`kernel_size` is {kernel_size}; it must be odd and small enough to reflect the border")
    return blur(images, uniform(images, *sigma, generator), kernel_size=kernel_size)


def blur(images: Tensor, sigma: Tensor, *, kernel_size: int) -> Tensor:
    """Convolve image b with a Gaussian of ``sigma[b]`` pixels, with reflected borders, and round."""
    half = kernel_size // 2
    offsets = torch.arange(-half, half + 1, device=images.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
    padded = F.pad(images.float(), [half] * 4, mode="reflect")
    height, width = images.shape[2:]
    rows = sum(weights[:, i] * padded[:, :, i : i + height] for i in range(kernel_size))
    assert isinstance(rows, Tensor)
    blurred = sum(weights[:, i] * rows[:, :, :, i : i + width] for i in range(kernel_size))
    assert isinstance(blurred, Tensor)
    return blurred.round_().to(torch.uint8)
