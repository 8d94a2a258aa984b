"""Rotations and other affine maps, with a separate map for each image."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment._draw import check_images, uniform

Interpolation = Literal["nearest", "bilinear"]


def random_rotation(
    images: Tensor,
    *,
    degrees: float,
    interpolation: Interpolation = "nearest",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Rotate each image by an angle uniform in ±``degrees``, like torchvision's RandomRotation; corners are black.

    Args:
        images: (B, C, H, W) uint8.
        degrees: Largest angle, at least 0.
        interpolation: "nearest" or "bilinear".
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images)
    if degrees < 0:
        raise ValueError(f"`degrees` is {degrees}; it must be at least 0")
    return rotate(images, uniform(images, -degrees, degrees, generator), interpolation=interpolation)


def rotate(images: Tensor, degrees: Tensor, *, interpolation: Interpolation = "nearest") -> Tensor:
    """Rotate image b by ``degrees[b]`` counter-clockwise about its centre, like torchvision's ``rotate``."""
    zero = torch.zeros_like(degrees)
    matrix = inverse_affine(-torch.deg2rad(degrees), zero, zero, zero, zero, zero, zero)
    return affine(images, matrix, interpolation=interpolation)


def inverse_affine(  # noqa: PLR0913, PLR0917 - the seven numbers of an affine map
    angle: Tensor,
    translate_x: Tensor,
    translate_y: Tensor,
    shear_x: Tensor,
    shear_y: Tensor,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    """Return the maps from result to source pixels, (B, 2, 3): the inverse of shear, then rotate, then translate.

    Args:
        angle: (B,) radians, clockwise.
        translate_x, translate_y: (B,) pixels.
        shear_x, shear_y: (B,) radians, clockwise.
        x, y: (B,) the fixed point of rotation and shear, in pixels from the image's centre.
    """
    a = torch.cos(angle - shear_y) / torch.cos(shear_y)
    b = -a * torch.tan(shear_x) - torch.sin(angle)
    c = torch.sin(angle - shear_y) / torch.cos(shear_y)
    d = -c * torch.tan(shear_x) + torch.cos(angle)
    shift_x, shift_y = -x - translate_x, -y - translate_y
    first = torch.stack([d, -b, d * shift_x - b * shift_y + x], -1)
    second = torch.stack([-c, a, -c * shift_x + a * shift_y + y], -1)
    return torch.stack([first, second], 1)


def affine(images: Tensor, matrix: Tensor, *, interpolation: Interpolation = "nearest") -> Tensor:
    """Sample each result pixel at its source position; black outside.

    Args:
        images: (B, C, H, W) uint8.
        matrix: (B, 2, 3), maps from result to source positions, in pixels from the image's centre.
        interpolation: "nearest" or "bilinear".

    Raises:
        ValueError: If ``interpolation`` is unknown.
    """
    batch, channels, height, width = images.shape
    source = _source_pixels(matrix, height, width)
    if interpolation == "bilinear":
        grid = _normalized(source, height, width)
        sampled = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return sampled.round_().to(torch.uint8)
    if interpolation != "nearest":
        raise ValueError(f"`interpolation` is {interpolation!r}; it must be 'nearest' or 'bilinear'")
    # A gather on uint8; grid_sample would need floats.
    columns, rows = source.round_().unbind(1)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = rows.mul_(width).add_(columns).mul_(inside).long().view(batch, 1, -1)
    taken = images.reshape(batch, channels, -1).gather(2, index.expand(-1, channels, -1))
    return taken.view(batch, channels, height, width).mul_(inside[:, None])


def _source_pixels(matrix: Tensor, height: int, width: int) -> Tensor:
    """Return the source column and row of each result pixel, (B, 2, H, W) float32; the first pixel's centre is 0.

    The terms of the column and of the row are computed separately and added once.
    """
    middle = torch.tensor([(width - 1) * 0.5, (height - 1) * 0.5], device=matrix.device)
    x = torch.arange(width, device=matrix.device) - (width - 1) * 0.5
    y = torch.arange(height, device=matrix.device) - (height - 1) * 0.5
    across = matrix[:, :, 0, None] * x
    down = matrix[:, :, 1, None] * y + (matrix[:, :, 2] + middle)[:, :, None]
    return across[:, :, None, :] + down[:, :, :, None]


def _normalized(source: Tensor, height: int, width: int) -> Tensor:
    """Convert pixel positions for ``grid_sample``: (B, H, W, 2), with the image's outer edges at -1 and 1."""
    size = torch.tensor([width, height], device=source.device)[:, None, None]
    return ((2 * source + 1) / size - 1).permute(0, 2, 3, 1).contiguous()
