"""As few images as a track may ask for are enough for every figure; fewer are not."""

import math

import numpy as np
import pytest

from bench.contract.tracks import MIN_IMAGES
from bench.job.sample_metrics.inception import inception_metrics


def features(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 16)).astype(np.float32)


@pytest.mark.parametrize(("samples", "references"), [(MIN_IMAGES, 50), (50, MIN_IMAGES), (4, 4)])
def test_enough(samples: int, references: int) -> None:
    figures, _ = inception_metrics(features(samples), features(references), "cpu")
    assert all(map(math.isfinite, figures.values()))


@pytest.mark.parametrize(("samples", "references"), [(MIN_IMAGES - 1, 50), (50, MIN_IMAGES - 1)])
def test_too_few(samples: int, references: int) -> None:
    with pytest.raises((ValueError, RuntimeError)), np.errstate(all="ignore"):
        inception_metrics(features(samples), features(references), "cpu")
