"""Random erasing (Zhong et al. 2017, arXiv 1708.04896)."""

import math

import torch
from torch import Tensor

from bench.augment._draw import (
    check_images,
    check_probability,
    check_range,
    first_valid,
    integers_below,
    uniform,
)

TRIES = 10  # draws per image before it is left unchanged, as in torchvision


def random_erasing(
    images: Tensor,
    *,
    p: float = 0.5,
    scale: tuple[float, float] = (0.02, 0.33),
    ratio: tuple[float, float] = (0.3, 3.3),
    value: int | Tensor = 0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Overwrite a rectangle of each image with probability ``p``, like torchvision's RandomErasing.

    The rectangle's share of the image's area is uniform in ``scale``, its aspect ratio log-uniform in ``ratio``.

    Args:
        images: (B, C, H, W) uint8.
        p: Probability in [0, 1].
        scale: Lowest and highest share of the area.
        ratio: Lowest and highest aspect ratio (height / width), above 0.
        value: The new value: in [0, 255], or (C,) uint8 for a colour. torchvision's 0 on normalised images
            corresponds to the mean colour.
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images)
    check_probability(p)
    check_range("scale", scale, 0.0)
    check_range("ratio", ratio, 1e-6)
    if isinstance(value, int) and not 0 <= value <= 255:
        raise ValueError(f"`value` is {value}; it must be in [0, 255]")
    image_height, image_width = images.shape[2:]
    area = uniform(images, *scale, generator, TRIES) * image_height * image_width
    aspect = uniform(images, math.log(ratio[0]), math.log(ratio[1]), generator, TRIES).exp()
    heights, widths = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    valid = (heights < image_height) & (widths < image_width)
    height, width = first_valid(valid, heights, widths)
    chosen = (uniform(images, 0, 1, generator) < p) & valid.any(1)
    height, width = height * chosen, width * chosen
    top = integers_below(image_height - height + 1, generator)
    left = integers_below(image_width - width + 1, generator)
    return erase(images, top, left, height, width, value=value)


def erase(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, *, value: int | Tensor = 0
) -> Tensor:
    """Overwrite a rectangle of each image; position and size are (B,) int64, and the size may be 0."""
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    if isinstance(value, int):
        return images.masked_fill(inside, value)
    return torch.where(inside, value[:, None, None], images)
