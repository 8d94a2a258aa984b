"""Colour jitter: brightness, contrast, saturation and hue, each image with its own factors and order."""

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from bench.augment._draw import check_images, uniform

Adjustment = Callable[[Tensor, Tensor], Tensor]


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

    Factors are uniform in [max(0, 1 - x), 1 + x], the hue shift uniform in ±``hue`` turns. The order of the
    operations is drawn too: the orders are dealt out evenly over a random permutation of the batch, so that
    groups have known sizes and nothing waits for the device.

    Args:
        images: (B, 3, H, W) uint8.
        brightness, contrast, saturation: At least 0; 0 leaves the operation out.
        hue: In [0, 0.5].

    Raises:
        ValueError: If an argument is not as said.
    """
    check_images(images, (3,))
    operations: list[tuple[Adjustment, Tensor]] = []
    factors: list[tuple[str, float, Adjustment]] = [
        ("brightness", brightness, adjust_brightness),
        ("contrast", contrast, adjust_contrast),
        ("saturation", saturation, adjust_saturation),
    ]
    for name, amount, adjust in factors:
        if amount < 0:
            raise ValueError(f"`{name}` is {amount}; it must be at least 0")
        if amount:
            operations.append((adjust, uniform(images, max(0.0, 1 - amount), 1 + amount, generator)))
    if not 0 <= hue <= 0.5:
        raise ValueError(f"`hue` is {hue}; it must be in [0, 0.5]")
    if hue:
        operations.append((adjust_hue, uniform(images, -hue, hue, generator)))
    if not operations:
        return images
    orders = list(permutations(range(len(operations))))
    dealt = torch.randperm(len(images), generator=generator, device=images.device)
    result = torch.empty_like(images)
    for order, chosen in zip(orders, dealt.tensor_split(len(orders)), strict=True):
        if len(chosen):
            part = images[chosen]
            for index in order:
                adjust, amounts = operations[index]
                part = adjust(part, amounts[chosen])
            result[chosen] = part
    return result


def _blend(first: Tensor, second: Tensor | float, share: Tensor) -> Tensor:
    """``share · first + (1 - share) · second``, cut to [0, 255] and truncated, as torchvision does."""
    share = share[:, None, None, None]
    return (share * first + (1.0 - share) * second).clamp_(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Luma (ITU-R 601-2), (B, 1, H, W) float32, rounded down as torchvision does on bytes."""
    red, green, blue = images.float().unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; ``factor`` (B,) at least 0, 1 changes nothing."""
    return _blend(images, 0.0, factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean luma; ``factor`` (B,) at least 0, 1 changes nothing."""
    return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; ``factor`` (B,) at least 0, 1 changes nothing."""
    return _blend(images, _grey(images), factor)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue in HSV space (Smith 1978) by ``turns``, (B,) in [-0.5, 0.5]."""
    rgb = images.float() / 255
    red, green, blue = rgb.unbind(1)
    value, low = rgb.amax(1), rgb.amin(1)
    chroma = value - low
    safe = torch.where(chroma == 0, 1.0, chroma)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = torch.where(chroma == 0, 0.0, sixth / 6) + turns[:, None, None]
    # HSV to RGB as one formula a channel: value less what the hue takes away.
    offset = torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1)
    k = (offset + hue.unsqueeze(1) * 6) % 6
    turned = value.unsqueeze(1) - chroma.unsqueeze(1) * torch.minimum(k, 4 - k).clamp_(0, 1)
    # torchvision's way from [0, 1] to bytes: 256 levels of equal width.
    return (turned * (256 - 1e-3)).clamp_(0, 255).to(torch.uint8)
