"""Metrics of a set of images from LPIPS: diversity, and distance to the nearest training images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.measure.metrics.feature_cache import cached_array, hash_images
from bench.measure.metrics.lpips_space import (
    SIZE,
    WEIGHTS,
    LpipsSpace,
    Net,
    diversity,
    nearest,
    share_in_closest,
    share_nearer,
)
from bench.measure.metrics.weights import weights_folder

CLOSEST_PAIRS = 20  # pairs on the sheet of the nearest training images
PAIRS_PER_ROW = 10
SEARCH_BATCH = 250  # training images per batch of the search
OnProgress = Callable[[int, int], None]

AUDIT_IMAGES = 64  # images on one side of the pairs of `real_images_metrics`
AUDIT_BATCH = 50
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def diversity_names(net: Net) -> tuple[str, str]:
    """Return the names of the overall and the within-class mean; the image size is part of each name."""
    return f"lpips_{net}_{SIZE}", f"lpips_{net}_{SIZE}_within_class"


NEAREST_NAME = f"nearest_train_lpips_alex_{SIZE}"  # mean over images
NEARER_NAME = "nearer_than_held_out"  # share of (sample, held-out image) pairs in which the sample is nearer
CLOSEST_NAME = "nearer_than_closest_1_percent"  # share of samples nearer than the closest 1 % of held-out images
REAL_IMAGES_NAME = "lpips_real_images"  # as the notebook of paper 002 computes it


def diversity_metrics(
    net: Net, images: NDArray[np.uint8], labels: NDArray[np.int64], device: str
) -> dict[str, float]:
    """Compute the mean LPIPS over all pairs, and over pairs of the same class if there are any."""
    means = diversity(LpipsSpace(net, device=device), torch.from_numpy(images), torch.from_numpy(labels))
    values = zip(diversity_names(net), (means.overall, means.within_class), strict=True)
    return {name: value for name, value in values if value is not None}


@dataclass(frozen=True)
class CopySearchResult:
    """The distances of samples to training images as metrics, and the closest pairs."""

    metrics: dict[str, float]
    closest: NDArray[np.uint8]  # (2 P, C, H, W): ten samples, their nearest training images, the next ten, ...


class CopySearch:
    """A search for the nearest of the ``searched`` training images by LPIPS (alex, 64 × 64)."""

    def __init__(self, searched: NDArray[np.uint8], device: str, on_progress: OnProgress) -> None:
        self.space = LpipsSpace("alex", device=device)
        self.searched, self.on_progress = torch.from_numpy(searched), on_progress

    def held_out_distances(self, held_out: NDArray[np.uint8]) -> Tensor:
        """Return (N,) distances of held-out images to the nearest training image, cached per pair of sets."""
        sets = f"{hash_images(held_out)} {hash_images(self.searched.numpy())}"
        identity = f"nearest {WEIGHTS['alex'].digest} {SIZE} {sets}"

        def search() -> NDArray[np.float32]:
            matches = nearest(self.space, torch.from_numpy(held_out), self.searched, self._batches())
            return matches.distances.numpy()

        distances = cached_array(search, identity, weights_folder() / "features")
        return torch.from_numpy(distances)

    def copies(self, samples: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> CopySearchResult:
        """Compare the distances of samples with those of held-out real images, and collect the closest pairs."""
        held_out_distances = self.held_out_distances(held_out)
        images = torch.from_numpy(samples)
        matches = nearest(self.space, images, self.searched, self._batches())
        metrics = {
            NEAREST_NAME: matches.distances.double().mean().item(),
            NEARER_NAME: share_nearer(matches.distances, held_out_distances),
            CLOSEST_NAME: share_in_closest(matches.distances, held_out_distances),
        }
        order = matches.distances.argsort(stable=True)[:CLOSEST_PAIRS]
        rows = []
        for part in order.split(PAIRS_PER_ROW):
            rows += [images[part], self.searched[matches.indices[part]]]
        return CopySearchResult(metrics, torch.cat(rows).numpy())

    def _batches(self) -> Iterator[Tensor]:
        """Yield the searched images in batches, and report the progress."""
        for start in range(0, len(self.searched), SEARCH_BATCH):
            part = self.searched[start : start + SEARCH_BATCH]
            yield part
            self.on_progress(start + len(part), len(self.searched))


def real_images_metrics(train: NDArray[np.uint8], device: str, on_progress: OnProgress) -> dict[str, float]:
    """Compute the LPIPS that the author of paper 002 reports: pairs of 64 training images and all of ``train``.

    Mean and standard deviation. VGG receives unresized images, normalised as for ImageNet although LPIPS expects
    [-1, 1]; the distance of an image to itself is among the pairs.
    """
    space = LpipsSpace("vgg", size=None, device=device)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))

    def embed(images: Tensor) -> Tensor:
        return space.embed_unit(((images.expand(-1, 3, -1, -1).float() / 255 - mean) / std).to(device))

    images = torch.from_numpy(train)
    audited = embed(images[:AUDIT_IMAGES])
    parts = []
    for batch in images.split(AUDIT_BATCH):
        embedded = embed(batch)
        squares = audited.square().sum(1)[:, None] + embedded.square().sum(1)
        parts.append(torch.addmm(squares, audited, embedded.T, alpha=-2).double().cpu())
        on_progress(sum(part.shape[1] for part in parts), len(images))
    distances = torch.cat(parts, 1)
    return {REAL_IMAGES_NAME: distances.mean().item(), f"{REAL_IMAGES_NAME}_std": distances.std().item()}
