"""What LPIPS says of a set of images: how they differ from one another, and how near to train they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.measure.feature_cache import cached_array, hash_images
from bench.measure.lpips_space import (
    SIZE,
    WEIGHTS,
    LpipsSpace,
    Net,
    diversity,
    nearest,
    share_in_closest,
    share_nearer,
)
from bench.measure.weights import weights_folder

CLOSEST_PAIRS = 20
PAIRS_A_ROW = 10
SEARCH_BATCH = 250
OnProgress = Callable[[int, int], None]

AUDIT_IMAGES = 64
AUDIT_BATCH = 50
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def diversity_names(net: Net) -> tuple[str, str]:
    """Overall, and within a class; the resize is part of the name."""
    return f"lpips_{net}_{SIZE}", f"lpips_{net}_{SIZE}_within_class"


NEAREST_NAME = f"nearest_train_lpips_alex_{SIZE}"  # mean over images
NEARER_NAME = "nearer_than_held_out"  # share of (sample, held-out image) pairs
CLOSEST_NAME = "nearer_than_closest_1_percent"  # share of samples, against the closest 1 % of held-out images
REAL_IMAGES_NAME = "lpips_real_images"  # what paper 002's cell computes


def diversity_figures(
    net: Net, images: NDArray[np.uint8], labels: NDArray[np.int64], device: str
) -> dict[str, float]:
    """Mean LPIPS over all pairs, and over pairs of one class where there are any."""
    found = diversity(LpipsSpace(net, device=device), torch.from_numpy(images), torch.from_numpy(labels))
    values = zip(diversity_names(net), (found.overall, found.within_class), strict=True)
    return {name: value for name, value in values if value is not None}


@dataclass(frozen=True)
class Copies:
    """How near to training images a set is."""

    figures: dict[str, float]
    closest: NDArray[np.uint8]  # (2 P, C, H, W): ten samples, their ten neighbours, the next ten, ...


class CopySearch:
    """Looks for the nearest of ``searched`` training images to any image, by LPIPS (alex, 64 × 64)."""

    def __init__(self, searched: NDArray[np.uint8], device: str, on_progress: OnProgress) -> None:
        self.space = LpipsSpace("alex", device=device)
        self.searched, self.on_progress = torch.from_numpy(searched), on_progress

    def held_out_distances(self, held_out: NDArray[np.uint8]) -> Tensor:
        """Of images that were not trained on; computed once for each pair of sets."""
        sets = f"{hash_images(held_out)} {hash_images(self.searched.numpy())}"
        identity = f"nearest {WEIGHTS['alex'].digest} {SIZE} {sets}"

        def search() -> NDArray[np.float32]:
            found = nearest(self.space, torch.from_numpy(held_out), self.searched, self._batches())
            return found.distances.numpy()

        found = cached_array(search, identity, weights_folder() / "features")
        return torch.from_numpy(found)

    def copies(self, samples: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> Copies:
        """The samples' distances beside those of held-out real images, and the closest pairs to look at."""
        others = self.held_out_distances(held_out)
        images = torch.from_numpy(samples)
        found = nearest(self.space, images, self.searched, self._batches())
        figures = {
            NEAREST_NAME: found.distances.double().mean().item(),
            NEARER_NAME: share_nearer(found.distances, others),
            CLOSEST_NAME: share_in_closest(found.distances, others),
        }
        order = found.distances.argsort(stable=True)[:CLOSEST_PAIRS]
        rows = []
        for part in order.split(PAIRS_A_ROW):
            rows += [images[part], self.searched[found.indices[part]]]
        return Copies(figures, torch.cat(rows).numpy())

    def _batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self.searched), SEARCH_BATCH):
            part = self.searched[start : start + SEARCH_BATCH]
            yield part
            self.on_progress(start + len(part), len(self.searched))


def real_images_figures(train: NDArray[np.uint8], device: str, on_progress: OnProgress) -> dict[str, float]:
    """What paper 002's author reports as LPIPS: over pairs of 64 training images and all of ``train``.

    The mean and the deviation. VGG on images as they are, normalised as for ImageNet although LPIPS expects
    [-1, 1]; an image's distance to itself is among the pairs.
    """
    space = LpipsSpace("vgg", size=None, device=device)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))

    def embed(images: Tensor) -> Tensor:
        return space.embed_unit(((images.expand(-1, 3, -1, -1).float() / 255 - mean) / std).to(device))

    images = torch.from_numpy(train)
    ones = embed(images[:AUDIT_IMAGES])
    parts = []
    for batch in images.split(AUDIT_BATCH):
        others = embed(batch)
        squares = ones.square().sum(1)[:, None] + others.square().sum(1)
        parts.append(torch.addmm(squares, ones, others.T, alpha=-2).double().cpu())
        on_progress(sum(part.shape[1] for part in parts), len(images))
    distances = torch.cat(parts, 1)
    return {REAL_IMAGES_NAME: distances.mean().item(), f"{REAL_IMAGES_NAME}_std": distances.std().item()}
