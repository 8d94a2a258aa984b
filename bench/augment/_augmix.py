"""AugMix (Hendrycks et al. 2020, arXiv 1912.02781): chains of simple operations, mixed at random."""

import torch
from torch import Tensor

from bench.augment._draw import check_images, integers_below, uniform
from bench.augment._operations import ALL, COLOUR, GEOMETRIC, LEVELS, TONAL, apply_operations

DEEPEST = 3  # operations of a chain whose depth is drawn


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
    """Mix each image with ``mixture_width`` chains of operations on it; torchvision's AugMix.

    Weights come from Dirichlet and Beta distributions, as there; operations, their strength and the depth of a
    chain are drawn for each chain of each image.

    Args:
        images: (B, 3, H, W) uint8.
        severity: Magnitudes are among the lowest ``severity`` of ten; 1 to 10.
        mixture_width: Chains per image.
        chain_depth: Operations per chain; -1 draws 1 to 3.
        alpha: Of the distributions of weights; above 0.
        all_ops: Whether brightness, colour, contrast and sharpness are among the operations.

    Raises:
        ValueError: If an argument is not as said.
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
    chains = images.repeat(mixture_width, 1, 1, 1)  # all chains of all images side by side
    for chosen in draw_chains(chains, len(operations), chain_depth, generator):
        level = integers_below(torch.full_like(chosen, severity), generator)
        sign = (uniform(chains, 0, 1, generator) < 0.5) * 2 - 1
        chains = apply_operations(chains, chosen, level, sign)
    mixed = images.float().mul_(keep[:, 0, None, None, None])
    for chain, augmented in enumerate(chains.split(len(images))):
        mixed += augmented.float().mul_(weights[:, chain, None, None, None])
    return mixed.to(torch.uint8)


def _dirichlet(images: Tensor, count: int, alpha: float, generator: torch.Generator | None) -> Tensor:
    """(B, count) weights that sum to 1; ``torch._sample_dirichlet`` as torchvision calls it, but seeded."""
    concentration = torch.full((len(images), count), alpha, device=images.device)
    weights: Tensor = torch._sample_dirichlet(concentration, generator)
    return weights


def draw_chains(images: Tensor, operations: int, depth: int, generator: torch.Generator | None) -> list[Tensor]:
    """For each round the operation of each image, (B,) int64 in [0, operations), or ``len(ALL)`` for none.

    All are independent and uniform. Of a depth that is drawn, 1 to 3, the later rounds have none.
    """
    each = torch.full((len(images),), operations, device=images.device)
    if depth > 0:
        return [integers_below(each, generator) for _ in range(depth)]
    depths = 1 + integers_below(torch.full_like(each, DEEPEST), generator)
    return [torch.where(depths > done, integers_below(each, generator), len(ALL)) for done in range(DEEPEST)]
