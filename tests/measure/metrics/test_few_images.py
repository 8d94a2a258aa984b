"""The fewest images that a track may ask for give finite metrics; fewer are refused."""

import math

import numpy as np
import pytest

from bench.contract.tracks import MIN_IMAGES
from bench.job.sample_metrics.inception import inception_metrics


def features(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 16)).astype(np.float32)


@pytest.mark.parametrize(("samples", "references"), [(MIN_IMAGES, 50), (50, MIN_IMAGES), (4, 4)])
def test_minimum_number_of_images_gives_finite_metrics(samples: int, references: int) -> None:
    metrics, _ = inception_metrics(features(samples), features(references), "cpu")
    assert all(map(math.isfinite, metrics.values()))


@pytest.mark.parametrize(("samples", "references"), [(MIN_IMAGES - 1, 50), (50, MIN_IMAGES - 1)])
def test_fewer_images_are_refused(samples: int, references: int) -> None:
    with pytest.raises((ValueError, RuntimeError)), np.errstate(all="ignore"):
        inception_metrics(features(samples), features(references), "cpu")
