"""LPIPS distances against the lpips package; metrics of a perceptual space, with pixels in place of LPIPS."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg16

pytest.importorskip("lpips")

from bench.job.sample_metrics.lpips import real_images_metrics
from bench.measure.metrics.lpips_space import (
    LpipsSpace,
    PairwiseMean,
    diversity,
    load_lpips,
    nearest,
    share_in_closest,
    share_nearer,
)


def bytes_of(count: int, seed: int, side: int = 32) -> Tensor:
    return torch.randint(
        0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


class PixelSpace:
    """A space that needs no weights: the pixels themselves."""

    def embed(self, images: Tensor) -> Tensor:
        return images.flatten(1).float() / 255


PIXELS: Any = PixelSpace()


def all_pairs(vectors: Tensor) -> list[float]:
    count = len(vectors)
    return [
        float((vectors[i].double() - vectors[j].double()).square().sum()) for i in range(count) for j in range(i)
    ]


def test_pairwise_mean_equals_a_loop_over_pairs() -> None:
    vectors = torch.randn(37, 11, generator=torch.Generator().manual_seed(0)) + 5
    mean = PairwiseMean()
    for batch in vectors.split(8):
        mean.add(batch)
    assert mean.value == pytest.approx(np.mean(all_pairs(vectors)), rel=1e-6)
    single = PairwiseMean()
    single.add(vectors[:1])
    assert single.value is None


def test_diversity_equals_loops_over_pairs() -> None:
    images = bytes_of(12, 0, side=4)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3])
    result = diversity(PIXELS, images, labels, batch_size=3)
    vectors = PIXELS.embed(images)
    assert result.overall == pytest.approx(np.mean(all_pairs(vectors)), rel=1e-5)
    within = [np.mean(all_pairs(vectors[labels == label])) for label in (0, 1, 2)]  # class 3 has no pair
    assert result.within_class == pytest.approx(np.mean(within), rel=1e-5)
    copies = diversity(PIXELS, images[:1].repeat(5, 1, 1, 1), torch.zeros(5, dtype=torch.int64))
    assert copies.overall == pytest.approx(0, abs=1e-5)


def test_nearest_is_exact_and_a_copy_has_distance_0() -> None:
    references, queries = bytes_of(700, 0, side=6), bytes_of(40, 1, side=6)
    queries[7] = references[650]
    result = nearest(PIXELS, queries, references)
    distances = torch.cdist(PIXELS.embed(queries).double(), PIXELS.embed(references).double()).square()
    assert torch.equal(result.indices, distances.argmin(1))
    assert torch.allclose(result.distances.double(), distances.min(1).values, rtol=1e-5)
    assert result.distances[7] == 0
    few = nearest(PIXELS, queries, references[:2])  # fewer than the candidates of the exact comparison
    assert torch.equal(few.indices, distances[:, :2].argmin(1))


def test_pairwise_mean_of_equal_images_is_not_negative() -> None:
    """A rounding error such as -1e-9 would be shown as -0.000 in a table."""
    mean = PairwiseMean()
    for _ in range(7):
        mean.add(torch.full((3, 1000), 0.1) + torch.arange(1000) / 7)
    assert mean.value is not None and 0 <= mean.value < 1e-6


@pytest.mark.parametrize("copied", [0.0, 0.05, 0.3, 1.0])
def test_share_in_closest_estimates_the_share_of_copies(copied: float) -> None:
    """A tenth of the held-out images is close to train, as in CIFAR-100; samples are further away or copies."""
    rng = np.random.default_rng(0)
    held_out = np.where(rng.random(10_000) < 0.1, rng.uniform(0.01, 0.1, 10_000), rng.uniform(0.2, 0.4, 10_000))
    samples = np.where(rng.random(10_000) < copied, 0.0, rng.uniform(0.3, 0.5, 10_000))
    share = share_in_closest(torch.tensor(samples), torch.tensor(held_out))
    assert share == pytest.approx(copied, abs=0.01)
    if copied < 1:  # this share does not show the copies
        assert share_nearer(torch.tensor(samples), torch.tensor(held_out)) < 0.5


def test_share_in_closest_of_equal_distributions_is_1_percent() -> None:
    rng = np.random.default_rng(1)
    one, other = (torch.tensor(rng.exponential(size=20_000)) for _ in range(2))
    assert share_in_closest(one, other) == pytest.approx(0.01, abs=0.003)
    assert share_in_closest(torch.zeros(5), torch.zeros(3)) == 1


def test_share_nearer_counts_pairs_with_ties_as_half() -> None:
    assert share_nearer(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])) == 1
    assert share_nearer(torch.tensor([5.0]), torch.tensor([3.0, 4.0])) == 0
    assert share_nearer(torch.tensor([0.0, 0.0]), torch.tensor([0.0])) == 0.5
    one, other = torch.randn(300), torch.randn(200) + 0.5
    pairs = (one[:, None] < other).double().mean().item()
    assert share_nearer(one, other) == pytest.approx(pairs)


@pytest.mark.weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
@pytest.mark.parametrize("side", [28, 32, 64])
def test_distances_equal_the_lpips_package(metric_weights: Path, net: Any, side: int) -> None:
    first, second = bytes_of(3, 0, side), bytes_of(3, 1, side)
    space = LpipsSpace(net)

    def prepared(images: Tensor) -> Tensor:
        scaled = images.float() / 127.5 - 1
        return F.interpolate(scaled, (64, 64), mode="bilinear", align_corners=False)

    with torch.no_grad():
        expected = space.network(prepared(first), prepared(second)).flatten()
    assert torch.allclose(space.distances(first, second), expected, atol=1e-5)
    assert min(float(head.model[-1].weight.min()) for head in space.network.lins) >= 0  # so the roots are real


@pytest.mark.weights
def test_lpips_of_a_published_example(metric_weights: Path) -> None:
    """torchmetrics' docstring: VGG on random images, seed 123, gives 0.3493; random convolutions would not."""
    torch.manual_seed(123)
    # The example builds its network here, which consumes random numbers.
    vgg16(weights=None, init_weights=False)
    for channels in (64, 128, 256, 512, 512):
        nn.Conv2d(channels, 1, 1, bias=False)
    one, other = (torch.rand(10, 3, 100, 100) * 2 - 1 for _ in range(2))
    space = LpipsSpace("vgg", size=None)
    distance = (space.embed_unit(one) - space.embed_unit(other)).square().sum(1).mean()
    assert distance.item() == pytest.approx(0.3493, abs=1e-4)
    with torch.no_grad():
        assert load_lpips("vgg")(one, other).mean().item() == pytest.approx(0.3493, abs=1e-4)


@pytest.mark.weights
def test_real_images_metric_equals_the_lpips_package(metric_weights: Path) -> None:
    """64 images against all 70; the package's forward pass computes the pairs of 8 of them."""
    images = bytes_of(70, 0)
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    prepared = (images.float() / 255 - mean[:, None, None]) / std[:, None, None]
    network = load_lpips("vgg")
    with torch.no_grad():
        rows = [network(prepared[i : i + 1].expand(70, -1, -1, -1), prepared).flatten() for i in (0, 1, 63)]
        metrics = real_images_metrics(images.numpy(), "cpu", lambda done, total: None)
        pairs = torch.cat([network(prepared[i : i + 1].expand(70, -1, -1, -1), prepared) for i in range(8)])
    assert rows[0][0] < 1e-6
    assert metrics["lpips_real_images"] == pytest.approx(pairs.mean().item(), rel=0.03)
    assert metrics["lpips_real_images_std"] == pytest.approx(pairs.std().item(), rel=0.1)
