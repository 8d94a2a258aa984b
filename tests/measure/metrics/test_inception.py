"""Inception's features against torch-fidelity itself, Pillow's resize, and published values."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("torch_fidelity")

from bench.measure.metrics.frechet import frechet_distance, gaussian_of
from bench.measure.metrics.inception import SIZE, Inception, bicubic_like_pillow
from bench.measure.metrics.kernel_distance import kernel_distance


def bytes_of(shape: tuple[int, ...], seed: int, low: int = 0, high: int = 256) -> torch.Tensor:
    return torch.randint(low, high, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("side", [28, 32, 64])
def test_clean_resize_equals_pillow(side: int) -> None:
    image = bytes_of((3, side, side), 0).float()
    channels = [
        Image.fromarray(channel.numpy()).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for channel in image
    ]
    expected = np.stack([np.asarray(channel).clip(0, 255) for channel in channels])
    resized = bicubic_like_pillow(image[None])[0].numpy()
    assert np.abs(resized - expected).max() < 2e-3  # of 255


@pytest.fixture(scope="module")
def legacy(metric_weights: Path) -> Inception:
    return Inception("legacy")


@pytest.mark.weights
def test_legacy_features_equal_torch_fidelity(legacy: Inception) -> None:
    images = bytes_of((6, 3, 32, 32), 0)
    (theirs,) = super(Inception, legacy).forward(images)
    ours = legacy(images)
    assert ours.shape == (6, 2048)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(legacy(images[2:3]), ours[2:3], atol=1e-4)  # independent of the rest of the batch
    gray = images[:, :1]
    assert torch.equal(legacy(gray), legacy(gray.expand(-1, 3, -1, -1).contiguous()))
    with pytest.raises(ValueError, match="must be"):
        legacy(images.float())


@pytest.mark.weights
def test_clean_resize_changes_the_features(legacy: Inception) -> None:
    images = bytes_of((2, 3, 32, 32), 0)
    clean = Inception("clean")
    assert clean.identity != legacy.identity
    assert (clean(images) - legacy(images)).abs().max() > 1e-2


@pytest.mark.weights
def test_fid_and_kid_of_published_examples(legacy: Inception) -> None:
    """torchmetrics' docstring: random images with seed 123, FID of 64 features 12.7202, KID 0.0337 ± 0.0023."""
    torch.manual_seed(123)
    Inception()  # the example builds the network here, which consumes random numbers
    one = torch.randint(0, 200, (100, 3, 299, 299), dtype=torch.uint8)
    other = torch.randint(100, 255, (100, 3, 299, 299), dtype=torch.uint8)

    def first_64(images: torch.Tensor) -> np.ndarray:
        x = (images.float() - 128) / 128
        for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"):
            x = legacy.get_submodule(name)(x)
        return x.mean((2, 3)).numpy()

    ones, others = (np.concatenate([first_64(batch) for batch in images.split(20)]) for images in (one, other))
    assert frechet_distance(gaussian_of(ones), gaussian_of(others)) == pytest.approx(12.7202, abs=1e-4)
    ones, others = (torch.cat([legacy(batch) for batch in images.split(20)]).numpy() for images in (one, other))
    kid = kernel_distance(ones, others, size=50)
    assert kid.mean == pytest.approx(0.0337, abs=1e-3)  # over other subsets than in the example
    assert kid.std == pytest.approx(0.0023, abs=1e-3)
