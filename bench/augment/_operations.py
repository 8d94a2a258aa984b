"""The operations of AugMix, with a separate operation, magnitude and sign for each image."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment._color import IN_CACHE, blend, luma
from bench.augment._rotation import inverse_affine

LEVELS = 10  # magnitudes per operation, as in torchvision
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
TONAL = ("Posterize", "Solarize", "AutoContrast", "Equalize")
COLOUR = ("Brightness", "Color", "Contrast", "Sharpness")
ALL = GEOMETRIC + TONAL + COLOUR

Kind = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # images, operation, level, sign


def apply_operations(images: Tensor, chosen: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Apply one operation to each image.

    On a CPU each kind of operation is computed only for the images that need it. On a GPU this selection would
    synchronise with the device, so each kind is computed for all images and the needed results are selected. Both
    results are bit-identical.

    Args:
        images: (B, 3, H, W) uint8.
        chosen: (B,) int64, indices into ``ALL``; ``len(ALL)`` leaves an image unchanged.
        level: (B,) int64 magnitude in [0, 10).
        sign: (B,) ±1, the direction.
    """
    if images.device.type == "cpu" and len(images) > IN_CACHE:
        parts = zip(*(tensor.split(IN_CACHE) for tensor in (images, chosen, level, sign)), strict=True)
        return torch.cat([apply_operations(*part) for part in parts])
    result = images.clone()
    for kind, operations in KINDS:
        first = ALL.index(operations[0])
        wanted = (chosen >= first) & (chosen < first + len(operations))
        if images.device.type == "cpu":
            mine = torch.from_numpy(np.flatnonzero(wanted.numpy()))
            if len(mine):
                result[mine] = kind(images[mine], chosen[mine] - first, level[mine], sign[mine])
        else:
            result = torch.where(wanted[:, None, None, None], kind(images, chosen - first, level, sign), result)
    return result


def _geometric(images: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Shear by up to 0.3, translate by up to a third, or rotate by up to 30 degrees; bilinear, black outside."""
    height, width = images.shape[2:]
    amount = level / (LEVELS - 1) * sign  # in [-1, 1]
    shears_x, shears_y, moves_x, moves_y, turns = ((which == index).float() for index in range(len(GEOMETRIC)))
    angle = -torch.deg2rad(30 * amount * turns)
    shift_x, shift_y = (width / 3 * amount * moves_x).trunc(), (height / 3 * amount * moves_y).trunc()
    shear = torch.atan(0.3 * amount)
    # torchvision shears about the upper left corner, like the original implementation.
    at_corner = -0.5 * (shears_x + shears_y)
    matrix = inverse_affine(
        angle, shift_x, shift_y, shear * shears_x, shear * shears_y, width * at_corner, height * at_corner
    )
    return _bilinear(images, matrix)


def _bilinear(images: Tensor, matrix: Tensor) -> Tensor:
    """Compute a result bit-identical to ``affine`` with "bilinear", but copy no constants to the device."""
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) - (width - 1) * 0.5
    y = torch.arange(height, device=images.device) - (height - 1) * 0.5
    across, down = matrix[:, :, 0, None] * x, matrix[:, :, 1, None] * y
    places = []
    for axis, size in enumerate((width, height)):
        shift = matrix[:, axis, 2] + (size - 1) * 0.5
        source = across[:, axis, None, :] + (down[:, axis] + shift[:, None])[:, :, None]
        places.append((2 * source + 1) / size - 1)
    grid = torch.stack(places, -1)
    sampled = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.round_().to(torch.uint8)


def _posterize(images: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Keep only the upper bits, 4 to 0 of them."""
    bits = 4 - (level / ((LEVELS - 1) / 4)).round().int()
    return images & (256 - 2 ** (8 - bits)).to(torch.uint8)[:, None, None, None]


def _solarize(images: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Invert values at or above a threshold: 255 - value."""
    threshold = (255 * (1 - level / (LEVELS - 1))).ceil().to(torch.uint8)[:, None, None, None]
    return images ^ (images >= threshold).to(torch.uint8).mul_(255)


def _autocontrast(images: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    return autocontrast(images)


def _equalize(images: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    return equalize(images)


def _colour(images: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Blend with black, the grey image, its mean, or the smoothed image."""
    values, factor = images.float(), 1 + 0.9 * (level / (LEVELS - 1)) * sign
    colour, contrast, sharpness = ((which == index)[:, None, None, None] for index in (1, 2, 3))
    grey = luma(values)
    second = grey * colour + grey.mean((1, 2, 3), keepdim=True) * contrast
    blended = blend(values, second, factor)
    return torch.where(sharpness, _sharpened(values, factor), blended).to(torch.uint8)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to the range [0, 255]."""
    values = images.float()
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    flat = low == high
    scale = 255 / torch.where(flat, 255.0, high - low)
    low = torch.where(flat, 0.0, low)
    return ((values - low) * scale).clamp_(0, 255).to(torch.uint8)


def equalize(images: Tensor) -> Tensor:
    """Equalise the histogram of each channel of each image, with PIL's integer arithmetic."""
    flat = images.flatten(2).long()
    histogram = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device)
    histogram.scatter_add_(2, flat, torch.ones_like(flat))
    last = histogram.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - last) // 255
    before = F.pad(histogram.cumsum(2)[..., :-1], [1, 0])
    table = ((before + step // 2) // step.clamp_min(1)).clamp_(0, 255)
    same = torch.arange(256, device=images.device)
    table = torch.where(step == 0, same, table).to(torch.uint8)
    return table.gather(2, flat).view(images.shape)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image (borders unchanged); ``factor`` (B,), 1 changes nothing."""
    return _sharpened(images.float(), factor).to(torch.uint8)


def _sharpened(values: Tensor, factor: Tensor) -> Tensor:
    # 3×3 kernel with 5/13 in the centre and 1/13 around it, as separable sums of three, exact on whole numbers.
    across = values[..., :-2] + values[..., 1:-1] + values[..., 2:]
    inner = across[:, :, :-2] + across[:, :, 1:-1] + across[:, :, 2:]
    smooth = values.clone()
    smooth[:, :, 1:-1, 1:-1] = inner.add_(values[:, :, 1:-1, 1:-1], alpha=4).div_(13).round_()
    # As smooth + factor · difference: where the difference is 0 (flat areas), rounding cannot darken the image.
    difference = (values - smooth).mul_(factor[:, None, None, None])
    return smooth.add_(difference).clamp_(0, 255).floor_()


KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (_geometric, GEOMETRIC),
    (_posterize, TONAL[:1]),
    (_solarize, TONAL[1:2]),
    (_autocontrast, TONAL[2:3]),
    (_equalize, TONAL[3:]),
    (_colour, COLOUR),
)
