"""Diffusion against its definition step by step, and in cases with a known best prediction."""

import math

import pytest
import torch
from torch import Tensor

from reference_models import ancestral_sample, diffuse, signal_shares
from reference_models.diffusion import cosine_betas, linear_betas


def test_schedules_equal_those_of_the_papers() -> None:
    betas = linear_betas(1000)
    assert betas[0].item() == pytest.approx(1e-4) and betas[-1].item() == pytest.approx(0.02)
    product = 1.0
    for beta in betas.tolist():
        product *= 1 - beta
    assert signal_shares("linear", 1000)[-1].item() == pytest.approx(product, rel=1e-9)
    # Nichol & Dhariwal's equation 17 by hand, at half of the steps.
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 500)]
    assert signal_shares("cosine", 1000)[499].item() == pytest.approx(f[1] / f[0], rel=1e-9)
    assert cosine_betas(1000).max() <= 0.999
    with pytest.raises(ValueError, match="`schedule` is 'square'; it must be one of linear, cosine"):
        signal_shares("square", 10)


def test_diffuse_equals_the_chain_of_single_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    betas, start = linear_betas(100), torch.full((20_000, 1, 1, 1), 0.7)
    x = start
    for beta in betas.tolist():
        x = math.sqrt(1 - beta) * x + math.sqrt(beta) * torch.randn(x.shape, generator=generator)
    at_once = diffuse(
        start,
        torch.randn(start.shape, generator=generator),
        signal_shares("linear", 100)[-1:].float().expand(20_000),
    )
    assert x.mean().item() == pytest.approx(at_once.mean().item(), abs=0.03)
    assert x.std().item() == pytest.approx(at_once.std().item(), rel=0.02)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [None, 50, 1])
def test_sampling_ends_at_the_only_image_of_the_distribution(schedule: str, steps: int | None) -> None:
    shares, image = signal_shares(schedule, 1000), torch.tensor([0.3, -0.8]).view(1, 2, 1, 1)

    def predict(x: Tensor, time: Tensor) -> Tensor:
        share = shares[time].float()[:, None, None, None]
        return (x - share.sqrt() * image) / (1 - share).sqrt()

    generator = torch.Generator().manual_seed(0)
    samples = ancestral_sample(
        predict, torch.randn(5, 2, 1, 1, generator=generator), shares, generator, steps=steps
    )
    assert torch.allclose(samples, image.expand(5, -1, -1, -1), atol=1e-3)


@pytest.mark.parametrize("steps", [None, 250])
def test_sampling_recovers_a_gaussian(steps: int | None) -> None:
    """For images from N(0.5, 0.2²), the best prediction of the noise is a known linear function of x."""
    shares, mean, std = signal_shares("linear", 1000), 0.5, 0.2

    def predict(x: Tensor, time: Tensor) -> Tensor:
        share = shares[time].float()[:, None, None, None]
        variance = share * std**2 + 1 - share
        return (x - share.sqrt() * mean) * (1 - share).sqrt() / variance

    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(20_000, 1, 1, 1, generator=generator)
    samples = ancestral_sample(predict, noise, shares, generator, steps=steps)
    assert samples.mean().item() == pytest.approx(mean, abs=0.01)
    # The posterior's variance is the smaller of the paper's two choices; it reduces the spread a little.
    assert std * 0.9 < samples.std().item() <= std * 1.03


def test_sampling_visits_the_requested_steps_and_refuses_more() -> None:
    shares, seen = signal_shares("linear", 10), list[int]()

    def predict(x: Tensor, time: Tensor) -> Tensor:
        seen.append(int(time[0]))
        return x * 0

    noise, generator = torch.zeros(2, 1, 1, 1), torch.Generator()
    ancestral_sample(predict, noise, shares, generator)
    assert seen == list(range(9, -1, -1))
    seen.clear()
    ancestral_sample(predict, noise, shares, generator, steps=4)
    assert seen == [9, 6, 3, 0]
    with pytest.raises(ValueError, match="`steps` is 11; it must be between 1 and 10"):
        ancestral_sample(predict, noise, shares, generator, steps=11)
