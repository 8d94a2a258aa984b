"""Colour jitter (brightness, contrast, saturation, hue), with separate factors and order for each image."""

import torch
from torch import Tensor

from bench.augment._draw import check_images, uniform

IN_CACHE = 128  # images per chunk on a CPU, so that a chunk fits into its cache
BLENDS = ("brightness", "contrast", "saturation")


def color_jitter(
    images: Tensor,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Change colours randomly, like torchvision's ColorJitter.

    Factors are uniform in [max(0, 1 - x), 1 + x], and the hue shift is uniform in ±``hue`` turns. The order of the
    operations is a uniform random permutation. All are drawn for each image.

    Args:
        images: (B, 3, H, W) uint8.
        brightness, contrast, saturation: Half-width x of the factor's range, at least 0; 0 omits the operation.
        hue: Largest hue shift in turns, in [0, 0.5]; 0 omits the operation.
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images, (3,))
    names, amounts = [], []
    for name, amount in zip(BLENDS, (brightness, contrast, saturation), strict=True):
        if amount < 0:
            raise ValueError(f"`{name}` is {amount}; it must be at least 0")
        if amount:
            names.append(name)
            amounts.append(uniform(images, max(0.0, 1 - amount), 1 + amount, generator))
    if not 0 <= hue <= 0.5:
        raise ValueError(f"`hue` is {hue}; it must be in [0, 0.5]")
    if hue:
        names.append("hue")
        amounts.append(uniform(images, -hue, hue, generator))
    if not names:
        return images
    order = uniform(images, 0, 1, generator, len(names)).argsort(1)
    return jitter(images, tuple(names), torch.stack(amounts, 1), order)


def jitter(images: Tensor, names: tuple[str, ...], amounts: Tensor, order: Tensor) -> Tensor:
    """Apply the operations to each image, in each image's own order.

    There are three passes over the batch: the blends before an image's hue shift, the hue shift of all images, and
    the blends after it. An image without a blend in a step gets a blend with a share of 1, which changes no bit.
    This supports a separate order per image without a device synchronisation.

    Args:
        images: (B, 3, H, W) uint8.
        names: The N operations: some of ``BLENDS``, optionally followed by "hue".
        amounts: (B, N) float32; factors of at least 0, and hue shifts in turns in [-0.5, 0.5].
        order: (B, N) int64, a permutation of the operations for each image, first to last.
    """
    if images.device.type == "cpu" and len(images) > IN_CACHE:
        parts = zip(*(tensor.split(IN_CACHE) for tensor in (images, amounts, order)), strict=True)
        return torch.cat([jitter(part, names, own, places) for part, own, places in parts])
    blends, factors = [name for name in names if name != "hue"], amounts.unbind(1)
    values = images.float()
    if "hue" not in names:
        for place in range(len(blends)):
            values = _one_blend(values, blends, factors, order[:, place])
        return values.to(torch.uint8)
    before = (order == len(blends)).to(torch.uint8).argmax(1)  # number of blends before the hue shift
    for place in range(len(blends)):
        values = _one_blend(values, blends, factors, torch.where(place < before, order[:, place], -1))
    values = _hue(values, factors[-1])
    for place in range(len(blends)):
        values = _one_blend(values, blends, factors, torch.where(place < before, -1, order[:, place + 1]))
    return values.to(torch.uint8)


def _one_blend(values: Tensor, blends: list[str], factors: tuple[Tensor, ...], chosen: Tensor) -> Tensor:
    """Apply one blend to each image, with its index in ``chosen``, (B,) int64; -1 applies none."""
    share = torch.ones_like(factors[0])
    second = torch.zeros_like(values[:, :1])
    grey = luma(values)
    for index, name in enumerate(blends):
        mine = chosen == index
        share = torch.where(mine, factors[index], share)
        if name != "brightness":
            of_this = grey.mean((1, 2, 3), keepdim=True) if name == "contrast" else grey
            second = second + of_this * mine[:, None, None, None]
    return blend(values, second, share)


# The functions below work on whole numbers in float32, which avoids conversions from and to uint8 in between.


def blend(first: Tensor, second: Tensor | float, share: Tensor) -> Tensor:
    """Return ``share · first + (1 - share) · second``, clamped to [0, 255] and rounded down, like torchvision."""
    share = share[:, None, None, None]
    return (first * share).add_((1.0 - share) * second).clamp_(0, 255).floor_()


def luma(values: Tensor) -> Tensor:
    """Return the luma (ITU-R 601-2), (B, 1, H, W) float32, rounded down like torchvision does for uint8."""
    red, green, blue = values.unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def _brightness(values: Tensor, factor: Tensor) -> Tensor:
    return (values * factor[:, None, None, None]).clamp_(0, 255).floor_()


def _contrast(values: Tensor, factor: Tensor) -> Tensor:
    return blend(values, luma(values).mean((1, 2, 3), keepdim=True), factor)


def _saturation(values: Tensor, factor: Tensor) -> Tensor:
    return blend(values, luma(values), factor)


def _hue(values: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue: conversion to HSV and back as one formula per channel (value - chroma · share).

    The largest channel is found arithmetically, since differences of whole numbers are 0 or at least 1.
    ``torch.where`` takes ten times as long on a CPU.
    """
    red, green, blue = values.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    not_red, not_green = (value - red).clamp_max_(1), (value - green).clamp_max_(1)
    of_red = (green - blue).mul_(1 - not_red)
    of_green = (blue - red).add_(chroma, alpha=2).mul_(1 - not_green)
    of_blue = (red - green).add_(chroma, alpha=4).mul_(not_green)
    sixths = of_green.add_(of_blue).mul_(not_red).add_(of_red).div_(chroma.clamp_min(1))  # grey has hue 0
    sixths += 6 * turns[:, None, None]
    turned = torch.empty_like(values)
    for channel, offset in enumerate((5, 3, 1)):
        k = sixths + offset
        k -= (k / 6).floor_().mul_(6)
        share = torch.minimum(k, 4 - k).clamp_(0, 1)
        # torchvision's conversion from [0, 1] to uint8: 256 levels of equal width.
        turned[:, channel] = (value - chroma * share).mul_((256 - 1e-3) / 255).floor_()
    return turned


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; ``factor`` (B,) is at least 0, and 1 changes nothing."""
    return _brightness(images.float(), factor).to(torch.uint8)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean luma; ``factor`` (B,) is at least 0, and 1 changes nothing."""
    return _contrast(images.float(), factor).to(torch.uint8)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; ``factor`` (B,) is at least 0, and 1 changes nothing."""
    return _saturation(images.float(), factor).to(torch.uint8)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue in HSV space (Smith 1978) by ``turns``, (B,) in [-0.5, 0.5]."""
    return _hue(images.float(), turns).to(torch.uint8)
