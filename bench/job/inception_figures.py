"""What Inception's features say of a set of images: FID, KID, precision and recall, each against a reference."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.measure.feature_cache import BLOCK, cached_features
from bench.measure.frechet import extrapolated_distance, frechet_distance, gaussian_of, half_sample_deviation
from bench.measure.inception import Inception
from bench.measure.kernel_distance import kernel_distance, subset_size
from bench.measure.manifold import precision_recall

T_95 = 2.093  # Student's quantile for the 19 degrees of freedom of 20 half-samples

Features = NDArray[np.float32]  # (N, 2048)


@dataclass
class FeatureReader:
    """A network, and where its features are kept."""

    network: Inception
    on_progress: Callable[[int, int], None]

    def features(self, images: NDArray[np.uint8], folder: Path) -> Features:
        """(N, 2048) of (N, C, H, W) uint8."""
        batch_size = 25 if self.network.device.type == "cpu" else BLOCK  # small ones stay in a core's cache
        return cached_features(
            self.network,
            self.network.identity,
            images,
            folder,
            batch_size=batch_size,
            on_progress=self.on_progress,
        )


def inception_names(count: int) -> tuple[str, ...]:
    """The names of ``inception_figures``; each says of how many images it is."""
    return (
        f"fid_{count}",
        f"fid_infinity_from_{count}",
        f"kid_{count}",
        f"kid_{count}_std",
        f"precision_{count}",
        f"recall_{count}",
    )


def inception_figures(
    features: Features, reference: Features, device: str
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Figures by name, and 95 % intervals of those that have one."""
    gaussian = gaussian_of(reference, device)
    distance = frechet_distance(gaussian_of(features, device), gaussian)
    half_width = T_95 * half_sample_deviation(features, gaussian)
    size = subset_size(len(features), len(reference))
    kid = kernel_distance(features, reference, size=size, device=device)
    shares = precision_recall(torch.from_numpy(features).to(device), torch.from_numpy(reference).to(device))
    values = (
        distance,
        extrapolated_distance(features, gaussian),
        kid.mean,
        kid.std,
        shares.precision,
        shares.recall,
    )
    figures = dict(zip(inception_names(len(features)), values, strict=True))
    return figures, {f"fid_{len(features)}": (distance - half_width, distance + half_width)}


def fid(features: Features, reference: Features, device: str) -> float:
    """The Fréchet distance alone."""
    return frechet_distance(gaussian_of(features, device), gaussian_of(reference, device))
