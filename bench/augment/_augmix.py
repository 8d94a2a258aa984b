"""AugMix (Hendrycks et al. 2020, arXiv 1912.02781): chains of simple operations, mixed at random."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment._color import adjust_brightness, adjust_contrast, adjust_saturation, blend
from bench.augment._draw import check_images, integers_below, uniform
from bench.augment._rotation import affine, inverse_affine

LEVELS = 10  # torchvision's number of magnitudes an operation has
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
TONAL = ("Posterize", "Solarize", "AutoContrast", "Equalize")
COLOUR = ("Brightness", "Color", "Contrast", "Sharpness")


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

    Weights come from Dirichlet and Beta distributions, as there. Within a round the operations are dealt out
    evenly over a random permutation of the batch, so that nothing waits for the device.

    Args:
        images: (B, 3, H, W) uint8.
        severity: Magnitudes are among the lowest ``severity`` of ten; 1 to 10.
        mixture_width: Chains an image.
        chain_depth: Operations a chain; -1 draws 1 to 3.
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
    mixed = images.float().mul_(keep[:, 0, None, None, None])
    for chain in range(mixture_width):
        augmented = _chain(images, operations, severity, chain_depth, generator)
        mixed += augmented.float().mul_(weights[:, chain, None, None, None])
    return mixed.to(torch.uint8)


def _dirichlet(images: Tensor, count: int, alpha: float, generator: torch.Generator | None) -> Tensor:
    """(B, count) weights that sum to 1; ``torch._sample_dirichlet`` as torchvision calls it, but seeded."""
    concentration = torch.full((len(images), count), alpha, device=images.device)
    weights: Tensor = torch._sample_dirichlet(concentration, generator)
    return weights


def _chain(
    images: Tensor, operations: tuple[str, ...], severity: int, depth: int, generator: torch.Generator | None
) -> Tensor:
    """One chain of operations on each image. Depths that are drawn are dealt out evenly, as operations are."""
    if depth > 0:
        for _ in range(depth):
            images = _one_round(images, operations, severity, generator)
        return images
    dealt = torch.randperm(len(images), generator=generator, device=images.device)
    third, rest = divmod(len(images), 3)
    drawn = integers_below(torch.full((rest, 1, 1, 1), 3, device=images.device), generator)  # depth - 1
    parts = images[dealt]
    for done in range(3):
        count = rest + third * (3 - done)  # a third ends after each round
        before = parts[:rest].clone()
        parts[:count] = _one_round(parts[:count], operations, severity, generator)
        parts[:rest] = torch.where(drawn >= done, parts[:rest], before)
    return torch.empty_like(images).index_copy_(0, dealt, parts)


def _one_round(
    images: Tensor, operations: tuple[str, ...], severity: int, generator: torch.Generator | None
) -> Tensor:
    """One operation on each image."""
    device, count = images.device, len(images)
    level = integers_below(torch.full((count,), severity, device=device), generator)
    sign = (uniform(images, 0, 1, generator) < 0.5) * 2 - 1
    dealt = torch.randperm(count, generator=generator, device=device)
    result = torch.empty_like(images)
    for index, name in enumerate(operations):
        # Sizes differ by one where the batch does not divide; spread evenly, not all on the first operations.
        begin, end = index * count // len(operations), (index + 1) * count // len(operations)
        chosen = dealt[begin:end]
        if end > begin:
            result[chosen] = apply_operation(images[chosen], name, level[chosen], sign[chosen])
    return result


def apply_operation(images: Tensor, name: str, level: Tensor, sign: Tensor) -> Tensor:
    """One of AugMix's operations at ``level``, (B,) int64 in [0, 10), and ``sign``, (B,) ±1."""
    share = level / (LEVELS - 1)
    if name in GEOMETRIC:
        return _geometric(images, name, share * sign)
    if name == "Posterize":
        bits = 4 - (level / ((LEVELS - 1) / 4)).round().int()
        return images & (256 - 2 ** (8 - bits)).to(torch.uint8)[:, None, None, None]
    if name == "Solarize":
        threshold = (255 * (1 - share)).ceil().to(torch.uint8)[:, None, None, None]
        return images ^ (images >= threshold).to(torch.uint8).mul_(255)  # all bits turned round: 255 - image
    if name == "AutoContrast":
        return autocontrast(images)
    if name == "Equalize":
        return equalize(images)
    factor = 1 + 0.9 * share * sign
    colour = {"Brightness": adjust_brightness, "Color": adjust_saturation, "Contrast": adjust_contrast}
    return colour[name](images, factor) if name in colour else adjust_sharpness(images, factor)


def _geometric(images: Tensor, name: str, amount: Tensor) -> Tensor:
    """Shears up to 0.3, translations up to a third, turns up to 30 degrees; ``amount`` (B,) in [-1, 1]."""
    height, width = images.shape[2:]
    zero = torch.zeros_like(amount)
    angle, shift_x, shift_y, shear_x, shear_y, x, y = (zero,) * 7
    if name == "Rotate":
        angle = -torch.deg2rad(30 * amount)
    elif name == "TranslateX":
        shift_x = (width / 3 * amount).trunc()
    elif name == "TranslateY":
        shift_y = (height / 3 * amount).trunc()
    else:
        # torchvision shears about the upper left corner, as the original implementation does.
        x, y = zero - width * 0.5, zero - height * 0.5
        shear = torch.atan(0.3 * amount)
        shear_x, shear_y = (shear, zero) if name == "ShearX" else (zero, shear)
    matrix = inverse_affine(angle, shift_x, shift_y, shear_x, shear_y, x, y)
    return affine(images, matrix, interpolation="bilinear")


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to the full range."""
    values = images.float()
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    flat = low == high
    scale = 255 / torch.where(flat, 255.0, high - low)
    low = torch.where(flat, 0.0, low)
    return ((values - low) * scale).clamp_(0, 255).to(torch.uint8)


def equalize(images: Tensor) -> Tensor:
    """Flatten the histogram of each channel of each image, by PIL's integer arithmetic."""
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
    """Blend with a smoothed image whose border is the original's; ``factor`` (B,), 1 changes nothing."""
    values = images.float()
    # Weights 1 around and 5 in the middle, of 13: sums of three rows of sums of three, exact on whole numbers.
    across = values[..., :-2] + values[..., 1:-1] + values[..., 2:]
    inner = across[:, :, :-2] + across[:, :, 1:-1] + across[:, :, 2:]
    smooth = values.clone()
    smooth[:, :, 1:-1, 1:-1] = inner.add_(values[:, :, 1:-1, 1:-1], alpha=4).div_(13).round_()
    return blend(values, smooth, factor).to(torch.uint8)
