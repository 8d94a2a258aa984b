"""Checks and random draws that the augmentations share."""

import torch
from torch import Tensor


def check_images(images: Tensor, channels: tuple[int, ...] | None = None) -> None:
    """Check the images passed to an augmentation.

    Raises:
        ValueError: Unless ``images`` is (B, C, H, W) uint8, with C among ``channels`` if given.
    """
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(f"`images` is {tuple(images.shape)} {images.dtype}; it must be (B, C, H, W) torch.uint8")
    if channels is not None and images.shape[1] not in channels:
        allowed = " or ".join(map(str, channels))
        raise ValueError(f"`images` has {images.shape[1]} channels; it must have {allowed}")


def check_probability(p: float) -> None:
    """Check a probability.

    Raises:
        ValueError: Unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"`p` is {p}; it must be in [0, 1]")


def check_range(name: str, value: tuple[float, float], low: float) -> None:
    """Check a range.

    Raises:
        ValueError: Unless ``value`` is an ordered pair of at least ``low``.
    """
    if len(value) != 2 or not low <= value[0] <= value[1]:
        raise ValueError(f"`{name}` is {value}; it must be (low, high) with {low} <= low <= high")


def uniform(images: Tensor, low: float, high: float, generator: torch.Generator | None, *more: int) -> Tensor:
    """Draw (B, *more) float32 uniform in [low, high), on the images' device."""
    shape = (len(images), *more)
    return torch.rand(shape, generator=generator, device=images.device) * (high - low) + low


def integers_below(limit: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw an int64 uniform in [0, limit) for each entry of ``limit``, int64 of at least 1."""
    drawn = torch.rand(limit.shape, generator=generator, device=limit.device, dtype=torch.float64)
    # A float64 product can round up to the limit itself, about once in 2**53 draws.
    return torch.minimum((drawn * limit).long(), limit - 1)


def first_valid(valid: Tensor, *candidates: Tensor) -> tuple[Tensor, ...]:
    """Return each row's first valid candidate, (B, tries) -> (B,); candidate 0 if a row has no valid one."""
    index = valid.to(torch.uint8).argmax(1, keepdim=True)
    return tuple(candidate.gather(1, index).squeeze(1) for candidate in candidates)
