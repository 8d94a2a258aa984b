"""Mixtures of two images and of their labels: mixup and CutMix, each image with its own share and partner."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment._draw import check_images, integers_below


def mixup(
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Blend each image with the one before it in the batch (mixup, Zhang et al. 2018, arXiv 1710.09412).

    Like torchvision's MixUp, but with a share drawn for each image, and images rounded to uint8.

    Args:
        images: (B, C, H, W) uint8.
        labels: (B,) int64 in [0, num_classes).
        num_classes: Width of the targets.
        alpha: Parameter of the shares' Beta distribution, above 0.
        generator: On the images' device; None for torch's global generator.

    Returns:
        Images, (B, C, H, W) uint8, and targets, (B, num_classes) float32 that sum to 1, for ``cross_entropy``.

    Raises:
        ValueError: If an argument is invalid.
    """
    share = _shares(images, labels, alpha, generator)
    mixed = blend_pairs(images, share)
    return mixed, mixed_targets(labels, share, num_classes)


def cutmix(
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of the image before it in the batch into each image (Yun et al. 2019, arXiv 1905.04899).

    Like torchvision's CutMix, but with a rectangle drawn for each image. A rectangle over the border is cut off
    there, and the targets' shares are those of the pixels.

    Args, Returns, Raises: As ``mixup``.
    """
    share = _shares(images, labels, alpha, generator)
    height, width = images.shape[2:]
    each = torch.ones(len(images), dtype=torch.int64, device=images.device)
    row, column = integers_below(each * height, generator), integers_below(each * width, generator)
    half = 0.5 * (1 - share).sqrt()
    half_height, half_width = (half * height).long(), (half * width).long()
    top, bottom = (row - half_height).clamp_min(0), (row + half_height).clamp_max(height)
    left, right = (column - half_width).clamp_min(0), (column + half_width).clamp_max(width)
    pasted = paste_pairs(images, top, bottom, left, right)
    kept = 1 - ((bottom - top) * (right - left)).float() / (height * width)
    return pasted, mixed_targets(labels, kept, num_classes)


def blend_pairs(images: Tensor, share: Tensor) -> Tensor:
    """Return ``share`` of each image plus the rest of the one before it, rounded to uint8; ``share`` (B,)."""
    share = share[:, None, None, None]
    return (images * share).add_(images.roll(1, 0) * (1 - share)).round_().to(torch.uint8)


def paste_pairs(images: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Paste rows [top, bottom) and columns [left, right) of the image before into each image; all (B,) int64."""
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    in_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return torch.where(in_rows[:, None, :, None] & in_columns[:, None, None, :], images.roll(1, 0), images)


def mixed_targets(labels: Tensor, share: Tensor, num_classes: int) -> Tensor:
    """Return (B, num_classes) float32: ``share`` on each label, the rest on the label before it."""
    targets = F.one_hot(labels, num_classes).float()
    return targets * share[:, None] + targets.roll(1, 0) * (1 - share[:, None])


def _shares(images: Tensor, labels: Tensor, alpha: float, generator: torch.Generator | None) -> Tensor:
    """Check the arguments, and draw a share of its own for each image, (B,) float32 from Beta(alpha, alpha)."""
    check_images(images)
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"`labels` is {tuple(labels.shape)} {labels.dtype}; it must be ({len(images)},) torch.int64"
        )
    if alpha <= 0:
        raise ValueError(f"`alpha` is {alpha}; it must be above 0")
    concentration = torch.full((len(images), 2), float(alpha), device=images.device)
    weights: Tensor = torch._sample_dirichlet(concentration, generator)
    return weights[:, 0]
