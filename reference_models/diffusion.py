"""Denoising diffusion (Ho et al. 2020, arXiv 2006.11239): schedules, forward process, ancestral sampling."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def linear_betas(steps: int) -> Tensor:
    """Return variances that rise linearly from 1e-4 to 0.02 (section 4); (steps,) float64."""
    return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)


def cosine_betas(steps: int) -> Tensor:
    """Return cosine variances (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17; s = 0.008); (steps,) float64."""
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    signal = torch.cos((times + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {"linear": linear_betas, "cosine": cosine_betas}


def signal_shares(schedule: str, steps: int) -> Tensor:
    """Return ᾱ of each time step (equation 4): the remaining share of the image's variance; (steps,) float64.

    Raises:
        ValueError: If ``schedule`` is unknown.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"`schedule` is {schedule!r}; it must be one of {', '.join(SCHEDULES)}")
    return torch.cumprod(1 - SCHEDULES[schedule](steps), 0)


def diffuse(images: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """Apply the forward process to ``images`` (equation 4).

    Args:
        images: (B, C, H, W) float32 in [-1, 1].
        noise: Of the same shape, from N(0, 1).
        share: (B,) ᾱ of each image's time step.
    """
    share = share[:, None, None, None]
    return share.sqrt() * images + (1 - share).sqrt() * noise


def ancestral_sample(
    predict_noise: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    shares: Tensor,
    generator: torch.Generator,
    *,
    steps: int | None = None,
) -> Tensor:
    """Generate images from noise by the reverse process (algorithm 2), with the posterior variance (section 3.2).

    Args:
        predict_noise: Maps (B, C, H, W) noised images and (B,) int64 time steps to the noise.
        noise: (B, C, H, W) float32 from N(0, 1), the start of the process.
        shares: (T,) float64 ᾱ, from ``signal_shares``.
        generator: For the noise added in each step; on the device of ``noise``.
        steps: Number of evenly spaced time steps to visit, with the variances of the shortened process (Nichol &
            Dhariwal 2021, section 4). None visits all T.

    Returns:
        (B, C, H, W) float32, approximately in [-1, 1], not clipped.

    Raises:
        ValueError: If ``steps`` is not between 1 and T.
    """
    total = len(shares)
    steps = total if steps is None else steps
    if not 1 <= steps <= total:
        raise ValueError(f"`steps` is {steps}; it must be between 1 and {total}")
    visited = torch.linspace(total - 1, 0, steps).round().long().tolist()
    kept = [shares[time].item() for time in visited]
    x = noise
    for time, share, before in zip(visited, kept, [*kept[1:], 1.0], strict=True):
        beta = 1 - share / before
        predicted = predict_noise(x, torch.full((len(x),), time, device=x.device))
        x = (x - beta / math.sqrt(1 - share) * predicted) / math.sqrt(1 - beta)
        if before < 1:
            deviation = math.sqrt(beta * (1 - before) / (1 - share))
            # Drawn as a contiguous tensor, so that the noise does not depend on the memory format of x.
            x = x + deviation * torch.randn(x.shape, generator=generator, device=x.device)
    return x
