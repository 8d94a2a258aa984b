"""RandAugment and TrivialAugment, with separate operations for each image.

Cubuk et al. 2020 (arXiv 1909.13719), Müller and Hutter 2021 (arXiv 2103.10158).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.augment._color import IN_CACHE, blend, luma
from bench.augment._draw import check_images, integers_below, uniform
from bench.augment._operations import adjust_sharpness, autocontrast, equalize
from bench.augment._rotation import inverse_affine

POLICY = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
SIGNED = POLICY[1:10]  # their magnitude gets a random sign


def rand_augment(
    images: Tensor,
    *,
    num_ops: int = 2,
    magnitude: int = 9,
    num_magnitude_bins: int = 31,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Apply ``num_ops`` random operations of one strength to each image, like torchvision's RandAugment.

    Every image has its own operations and signs. Pixels are taken from the nearest source; the outside is black.

    Args:
        images: (B, 3, H, W) uint8.
        num_ops: Operations per image, at least 1.
        magnitude: Strength of all operations, in [0, num_magnitude_bins).
        num_magnitude_bins: Number of strengths, at least 2.
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images, (3,))
    if num_ops < 1:
        raise ValueError(f"`num_ops` is {num_ops}; it must be at least 1")
    _check_bins(num_magnitude_bins)
    if not 0 <= magnitude < num_magnitude_bins:
        raise ValueError(f"`magnitude` is {magnitude}; it must be in [0, {num_magnitude_bins})")
    height, width = images.shape[2:]
    table = torch.stack([
        *2 * [_up_to(0.3, num_magnitude_bins, images)],
        _up_to(150 / 331 * width, num_magnitude_bins, images),
        _up_to(150 / 331 * height, num_magnitude_bins, images),
        _up_to(30.0, num_magnitude_bins, images),
        *4 * [_up_to(0.9, num_magnitude_bins, images)],
        _bits(4, num_magnitude_bins, images),
    ])  # fmt: skip
    level = torch.full((len(images),), magnitude, device=images.device)
    for _ in range(num_ops):
        images = _randomly(images, table, level, generator)
    return images


def trivial_augment(
    images: Tensor, *, num_magnitude_bins: int = 31, generator: torch.Generator | None = None
) -> Tensor:
    """Apply one random operation of a random strength to each image, like torchvision's TrivialAugmentWide.

    Args:
        images: (B, 3, H, W) uint8.
        num_magnitude_bins: Number of strengths, at least 2.
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images, (3,))
    _check_bins(num_magnitude_bins)
    table = torch.stack([
        *2 * [_up_to(0.99, num_magnitude_bins, images)],
        *2 * [_up_to(32.0, num_magnitude_bins, images)],
        _up_to(135.0, num_magnitude_bins, images),
        *4 * [_up_to(0.99, num_magnitude_bins, images)],
        _bits(6, num_magnitude_bins, images),
    ])  # fmt: skip
    level = integers_below(torch.full((len(images),), num_magnitude_bins, device=images.device), generator)
    return _randomly(images, table, level, generator)


def _check_bins(bins: int) -> None:
    if bins < 2:
        raise ValueError(f"`num_magnitude_bins` is {bins}; it must be at least 2")


def _up_to(largest: float, bins: int, images: Tensor) -> Tensor:
    """Return (bins,) magnitudes from 0 to ``largest``."""
    return torch.linspace(0.0, largest, bins, device=images.device)


def _bits(fewer: int, bins: int, images: Tensor) -> Tensor:
    """Return the (bins,) numbers of bits that Posterize keeps: from 8 down to ``8 - fewer``."""
    return 8 - (torch.arange(bins, device=images.device) / ((bins - 1) / fewer)).round()


def _randomly(images: Tensor, table: Tensor, level: Tensor, generator: torch.Generator | None) -> Tensor:
    """Apply a random operation to each image.

    Args:
        images: (B, 3, H, W) uint8.
        table: (10, bins), the magnitudes of ``POLICY[1:11]``.
        level: (B,) int64, the column of the table.
        generator: As above.
    """
    chosen = integers_below(torch.full((len(images),), len(POLICY), device=images.device), generator)
    sign = (uniform(images, 0, 1, generator) < 0.5) * 2 - 1
    bins = table.shape[1]
    # Solarize has its threshold; what has no magnitude, any.
    solarize = torch.linspace(255.0, 0.0, bins, device=images.device)
    table = torch.cat([torch.zeros(1, bins, device=images.device), table, solarize.expand(3, -1)])
    magnitude = table[chosen, level]
    is_signed = (chosen >= 1) & (chosen <= len(SIGNED))
    return apply_policy(images, chosen, torch.where(is_signed, magnitude * sign, magnitude))


def apply_policy(images: Tensor, chosen: Tensor, magnitude: Tensor) -> Tensor:
    """Apply one operation to each image, as torchvision's automatic augmentations do.

    On a CPU each kind of operation is computed only for the images that need it. On a GPU this selection would
    synchronise with the device, so each kind is computed for all images and the needed results are selected.

    Args:
        images: (B, 3, H, W) uint8.
        chosen: (B,) int64, indices into ``POLICY``.
        magnitude: (B,) float32: a shear (tangent), pixels, degrees, a factor less 1, bits or a threshold.
    """
    on_cpu = images.device.type == "cpu"
    if on_cpu and len(images) > IN_CACHE:
        parts = zip(*(tensor.split(IN_CACHE) for tensor in (images, chosen, magnitude)), strict=True)
        return torch.cat([apply_policy(*part) for part in parts])
    result = images.clone()
    for kind, first, last in KINDS:
        needed = (chosen >= first) & (chosen <= last)
        if on_cpu:
            rows = torch.from_numpy(np.flatnonzero(needed.numpy()))
            if len(rows):
                result[rows] = kind(images[rows], chosen[rows] - first, magnitude[rows])
        else:
            result = torch.where(needed[:, None, None, None], kind(images, chosen - first, magnitude), result)
    return result


def _geometric(images: Tensor, which: Tensor, magnitude: Tensor) -> Tensor:
    """Shear, translate or rotate, with the nearest source pixel and black outside."""
    height, width = images.shape[2:]
    shears_x, shears_y, moves_x, moves_y, turns = ((which == index).float() for index in range(5))
    shear = torch.atan(magnitude)
    # torchvision shears about the upper left corner, like the original implementation.
    at_corner = -0.5 * (shears_x + shears_y)
    matrix = inverse_affine(
        -torch.deg2rad(magnitude * turns),
        (magnitude * moves_x).trunc(),
        (magnitude * moves_y).trunc(),
        shear * shears_x,
        shear * shears_y,
        width * at_corner,
        height * at_corner,
    )
    return _nearest(images, matrix)


def _nearest(images: Tensor, matrix: Tensor) -> Tensor:
    """Compute the result of ``affine`` with "nearest", but copy no constants to the device."""
    batch, channels, height, width = images.shape
    x = torch.arange(width, device=images.device) - (width - 1) * 0.5
    y = torch.arange(height, device=images.device) - (height - 1) * 0.5
    across, down = matrix[:, :, 0, None] * x, matrix[:, :, 1, None] * y
    columns, rows = (
        (across[:, axis, None, :] + (down[:, axis] + (matrix[:, axis, 2] + (size - 1) * 0.5)[:, None])[:, :, None])
        .round_()
        for axis, size in enumerate((width, height))
    )  # fmt: skip
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = rows.mul_(width).add_(columns).mul_(inside).long().view(batch, 1, -1)
    taken = images.reshape(batch, channels, -1).gather(2, index.expand(-1, channels, -1))
    return taken.view(batch, channels, height, width).mul_(inside[:, None])


def _colour(images: Tensor, which: Tensor, magnitude: Tensor) -> Tensor:
    """Blend with black, the grey image, its mean, or the smoothed image."""
    values, factor = images.float(), 1 + magnitude
    colour, contrast, sharpness = ((which == index)[:, None, None, None] for index in (1, 2, 3))
    grey = luma(values)
    second = grey * colour + grey.mean((1, 2, 3), keepdim=True) * contrast
    blended = blend(values, second, factor).to(torch.uint8)
    return torch.where(sharpness, adjust_sharpness(images, factor), blended)


def _posterize(images: Tensor, which: Tensor, magnitude: Tensor) -> Tensor:
    """Keep only the upper ``magnitude`` bits."""
    return images & (256 - 2 ** (8 - magnitude.int())).to(torch.uint8)[:, None, None, None]


def _solarize(images: Tensor, which: Tensor, magnitude: Tensor) -> Tensor:
    """Invert values at or above the threshold: 255 - value."""
    threshold = magnitude.ceil().to(torch.uint8)[:, None, None, None]
    return images ^ (images >= threshold).to(torch.uint8).mul_(255)


def _autocontrast(images: Tensor, which: Tensor, magnitude: Tensor) -> Tensor:
    return autocontrast(images)


def _equalize(images: Tensor, which: Tensor, magnitude: Tensor) -> Tensor:
    return equalize(images)


KINDS: tuple[
    tuple[Callable[[Tensor, Tensor, Tensor], Tensor], int, int], ...
] = (  # function, first, last of POLICY
    (_geometric, 1, 5),
    (_colour, 6, 9),
    (_posterize, 10, 10),
    (_solarize, 11, 11),
    (_autocontrast, 12, 12),
    (_equalize, 13, 13),
)
