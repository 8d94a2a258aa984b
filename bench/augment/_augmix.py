"""AugMix (Hendrycks et al. 2020, arXiv 1912.02781): chains of simple operations, mixed at random."""

import torch
from torch import Tensor

from bench.augment._draw import check_images, integers_below, uniform
from bench.augment._operations import ALL, COLOUR, GEOMETRIC, LEVELS, TONAL, apply_operations

DEEPEST = 3  # largest depth of a chain whose depth is random


def augmix(  # noqa: PLR0913 - torchvision's own arguments
    images: Tensor,
    *,
    severity: int = 3,
    mixture_width: int = 3,
    chain_depth: int = -1,
    alpha: float = 1.0,
    all_ops: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mix each image with ``mixture_width`` augmented versions of it, like torchvision's AugMix.

    Each version is the result of a chain of operations. Weights come from Dirichlet and Beta distributions, as in
    torchvision. Operations, their strength and the depth are drawn independently for each chain of each image.

    Args:
        images: (B, 3, H, W) uint8.
        severity: Number of the ten magnitudes to draw from, lowest first; 1 to 10.
        mixture_width: Chains per image.
        chain_depth: Operations per chain; -1 draws 1 to 3.
        alpha: Parameter of the weights' distributions; above 0.
        all_ops: Whether to include brightness, colour, contrast and sharpness.
        generator: On the images' device; None for torch's global generator.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_images(images, (3,))
    if not 1 <= severity <= LEVELS:
        raise ValueError(f"`severity` is {severity}; it must be in [1, {LEVELS}]")
    if mixture_width < 1:
        raise ValueError(f"`mixture_width` is {mixture_width}; it must be at least 1")
    if chain_depth < 1 and chain_depth != -1:
        raise ValueError(f"`chain_depth` is {chain_depth}; it must be at least 1, or -1")
    if alpha <= 0:
        raise ValueError(f"`alpha` is {alpha}; it must be above 0")
    operations = GEOMETRIC + TONAL + (COLOUR if all_ops else ())
    keep = _dirichlet(images, 2, alpha, generator)
    weights = _dirichlet(images, mixture_width, alpha, generator) * keep[:, 1:]
    chains = images.repeat(mixture_width, 1, 1, 1)  # (width · B, 3, H, W): all chains of all images in one batch
    for chosen in draw_chains(chains, len(operations), chain_depth, generator):
        level = integers_below(torch.full_like(chosen, severity), generator)
        sign = (uniform(chains, 0, 1, generator) < 0.5) * 2 - 1
        chains = apply_operations(chains, chosen, level, sign)
    mixed = images.float().mul_(keep[:, 0, None, None, None])
    for chain, augmented in enumerate(chains.split(len(images))):
        mixed += augmented.float().mul_(weights[:, chain, None, None, None])
    return mixed.to(torch.uint8)


def _dirichlet(images: Tensor, count: int, alpha: float, generator: torch.Generator | None) -> Tensor:
    """Draw (B, count) weights that sum to 1, with ``torch._sample_dirichlet`` like torchvision, but seeded."""
    concentration = torch.full((len(images), count), alpha, device=images.device)
    weights: Tensor = torch._sample_dirichlet(concentration, generator)
    return weights


def draw_chains(images: Tensor, operations: int, depth: int, generator: torch.Generator | None) -> list[Tensor]:
    """Draw each image's operation for each round: (B,) int64 in [0, operations), or ``len(ALL)`` for none.

    All draws are independent and uniform. With a random depth, 1 to 3, rounds beyond the depth have no operation.
    """
    each = torch.full((len(images),), operations, device=images.device)
    if depth > 0:
        return [integers_below(each, generator) for _ in range(depth)]
    depths = 1 + integers_below(torch.full_like(each, DEEPEST), generator)
    return [torch.where(depths > done, integers_below(each, generator), len(ALL)) for done in range(DEEPEST)]
