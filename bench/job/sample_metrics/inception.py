"""Metrics of a set of images from Inception features: FID, KID, precision and recall against a reference set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.measure.metrics.feature_cache import BLOCK, cached_features
from bench.measure.metrics.frechet import (
    extrapolated_distance,
    frechet_distance,
    gaussian_of,
    half_sample_deviation,
)
from bench.measure.metrics.inception import Inception
from bench.measure.metrics.kernel_distance import kernel_distance, subset_size
from bench.measure.metrics.precision_recall import precision_recall

T_95 = 2.093  # Student's quantile for the 19 degrees of freedom of 20 half-samples

Features = NDArray[np.float32]  # (N, 2048)


@dataclass
class FeatureReader:
    """A reader of Inception features, which are cached on disk."""

    network: Inception
    on_progress: Callable[[int, int], None]

    def features(self, images: NDArray[np.uint8], folder: Path) -> Features:
        """Return the features of ``images``, (N, C, H, W) uint8, from the cache in ``folder`` or the network."""
        batch_size = (
            25 if self.network.device.type == "cpu" else BLOCK
        )  # small batches fit the cache of a CPU core
        return cached_features(
            self.network,
            self.network.identity,
            images,
            folder,
            batch_size=batch_size,
            on_progress=self.on_progress,
        )


def inception_names(count: int) -> tuple[str, ...]:
    """Return the names of ``inception_metrics`` for ``count`` images, which is part of each name."""
    return (
        f"fid_{count}",
        f"fid_infinity_from_{count}",
        f"kid_{count}",
        f"kid_{count}_std",
        f"precision_{count}",
        f"recall_{count}",
    )


def inception_metrics(
    features: Features, reference: Features, device: str
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Compute the metrics of ``features`` against ``reference``.

    Returns:
        Metric -> value, and metric -> 95 % interval for the metrics that have one.
    """
    gaussian = gaussian_of(reference, device)
    distance = frechet_distance(gaussian_of(features, device), gaussian)
    half_width = T_95 * half_sample_deviation(features, gaussian)
    size = subset_size(len(features), len(reference))
    kid = kernel_distance(features, reference, size=size, device=device)
    fractions = precision_recall(torch.from_numpy(features).to(device), torch.from_numpy(reference).to(device))
    values = (
        distance,
        extrapolated_distance(features, gaussian),
        kid.mean,
        kid.std,
        fractions.precision,
        fractions.recall,
    )
    metrics = dict(zip(inception_names(len(features)), values, strict=True))
    return metrics, {f"fid_{len(features)}": (distance - half_width, distance + half_width)}


def fid(features: Features, reference: Features, device: str) -> float:
    """Return the Fréchet distance alone."""
    return frechet_distance(gaussian_of(features, device), gaussian_of(reference, device))
