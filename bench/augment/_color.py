"""Colour jitter: brightness, contrast, saturation and hue, each image with its own factors and order."""

import torch
from torch import Tensor

from bench.augment._draw import check_images, uniform

IN_CACHE = 128  # images that a CPU works on at a time
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
    """Change colours; torchvision's ColorJitter.

    Factors are uniform in [max(0, 1 - x), 1 + x], the hue shift uniform in ±``hue`` turns, and the order of the
    operations is uniform among all; each image has its own.

    Args:
        images: (B, 3, H, W) uint8.
        brightness, contrast, saturation: At least 0; 0 leaves the operation out.
        hue: In [0, 0.5].

    Raises:
        ValueError: If an argument is not as said.
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
    """Change colours as said.

    Of an image's operations some come before the hue and some after it. All images are blended as far as their
    hue, all hues are turned at once, and all are blended on: an image whose turn it is not to be blended has a
    share of 1, which changes no bit. So every image has its own order, and nothing waits for the device.

    Args:
        images: (B, 3, H, W) uint8.
        names: The N operations: some of ``BLENDS``, and last "hue" or not.
        amounts: (B, N) float32, factors of at least 0 and turns in [-0.5, 0.5].
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
    before = (order == len(blends)).to(torch.uint8).argmax(1)  # how many blends come before the hue
    for place in range(len(blends)):
        values = _one_blend(values, blends, factors, torch.where(place < before, order[:, place], -1))
    values = _hue(values, factors[-1])
    for place in range(len(blends)):
        values = _one_blend(values, blends, factors, torch.where(place < before, -1, order[:, place + 1]))
    return values.to(torch.uint8)


def _one_blend(values: Tensor, blends: list[str], factors: tuple[Tensor, ...], chosen: Tensor) -> Tensor:
    """Of each image the blend that ``chosen``, (B,) int64, names; -1 for none."""
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


# What follows works on whole numbers in float32, so that bytes are not made and unmade between two operations.


def blend(first: Tensor, second: Tensor | float, share: Tensor) -> Tensor:
    """``share · first + (1 - share) · second``, cut to [0, 255] and rounded down, as torchvision does."""
    share = share[:, None, None, None]
    return (first * share).add_((1.0 - share) * second).clamp_(0, 255).floor_()


def luma(values: Tensor) -> Tensor:
    """Luma (ITU-R 601-2), (B, 1, H, W) float32, rounded down as torchvision does on bytes."""
    red, green, blue = values.unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def _brightness(values: Tensor, factor: Tensor) -> Tensor:
    return (values * factor[:, None, None, None]).clamp_(0, 255).floor_()


def _contrast(values: Tensor, factor: Tensor) -> Tensor:
    return blend(values, luma(values).mean((1, 2, 3), keepdim=True), factor)


def _saturation(values: Tensor, factor: Tensor) -> Tensor:
    return blend(values, luma(values), factor)


def _hue(values: Tensor, turns: Tensor) -> Tensor:
    """HSV and back as one formula a channel: value less what the hue takes away.

    Which channel is the largest is found by arithmetic: differences of whole numbers are 0 or at least 1, and
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
        # torchvision's way from [0, 1] to bytes: 256 levels of equal width.
        turned[:, channel] = (value - chroma * share).mul_((256 - 1e-3) / 255).floor_()
    return turned


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; ``factor`` (B,) at least 0, 1 changes nothing."""
    return _brightness(images.float(), factor).to(torch.uint8)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean luma; ``factor`` (B,) at least 0, 1 changes nothing."""
    return _contrast(images.float(), factor).to(torch.uint8)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; ``factor`` (B,) at least 0, 1 changes nothing."""
    return _saturation(images.float(), factor).to(torch.uint8)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue in HSV space (Smith 1978) by ``turns``, (B,) in [-0.5, 0.5]."""
    return _hue(images.float(), turns).to(torch.uint8)
