"""LPIPS as a squared Euclidean distance, for cheap means over all pairs and nearest-neighbour search.

LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1) sums, over five layers of a network, the weighted squared
differences of normalised activations, averaged over positions. If each activation is multiplied by the square root
of its weight, LPIPS is the squared Euclidean distance of two vectors. The mean over all N (N - 1) / 2 pairs then
follows from N vectors, and all distances to a set from one matrix product.
"""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import lpips
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.measure.metrics import weights

Net = Literal["alex", "vgg"]
SIZE = 64  # LPIPS was fitted on 64 × 64 patches; 28 × 28 images are too small for AlexNet
WEIGHTS = {"alex": weights.ALEX, "vgg": weights.VGG}
CANDIDATES = 4  # per query, whose distances are recomputed without the product's rounding error


def load_lpips(net: Net, device: str = "cpu") -> nn.Module:
    """Load the LPIPS network (version 0.1, with the package's linear heads) with our file's convolutions.

    Raises:
        DataError: If the weights are absent or damaged.
    """
    tensors = weights.read(WEIGHTS[net])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses deprecated torchvision names
        # `pnet_rand` prevents a download; the convolutions are random until they are replaced below.
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = network.net.state_dict()
    for name in state:
        layer = name.split(".", 1)[1]  # "slice1.0.weight" is torchvision's "features.0.weight"
        state[name] = torch.from_numpy(tensors.pop(f"features.{layer}"))
    assert not tensors
    network.net.load_state_dict(state)
    ready: nn.Module = network.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)
    return ready


class LpipsSpace:
    """An embedding of images as vectors whose squared Euclidean distances are the LPIPS.

    Args:
        net: The network, ``alex`` or ``vgg``.
        size: Images are first resized to this side length (bilinear, corners not aligned); None skips the resize.
        device: Where to compute.
    """

    def __init__(self, net: Net, size: int | None = SIZE, device: str = "cpu") -> None:
        self.network: Any = load_lpips(net, device)
        self.size, self.device = size, device

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Map (B, 1 or 3, H, W) uint8 to (B, D) float32 on the device.

        At size 64, D is 31,872 (alex) or 499,712 (vgg).
        """
        return self.embed_unit(images.to(self.device).expand(-1, 3, -1, -1).float() / 127.5 - 1)

    @torch.no_grad()
    def embed_unit(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) float32 in [-1, 1] to (B, D) float32."""
        if self.size is not None:
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        x = self.network.scaling_layer(x).contiguous(memory_format=torch.channels_last)
        parts = []
        for activations, head in zip(self.network.net(x), self.network.lins, strict=True):
            normalised = lpips.normalize_tensor(activations)
            positions = activations.shape[2] * activations.shape[3]
            weight = head.model[-1].weight.view(1, -1, 1, 1)  # at least 0
            parts.append((normalised * (weight / positions).sqrt()).flatten(1))
        return torch.cat(parts, 1)

    def distances(self, images: Tensor, references: Tensor) -> Tensor:
        """Return the LPIPS of corresponding images of two batches of the same size, (B,) float32."""
        return (self.embed(images) - self.embed(references)).square().sum(1)


class PairwiseMean:
    """A one-pass mean of the squared distance over all pairs of a set: 2 (n Σ‖v‖² - ‖Σv‖²) / (n (n - 1))."""

    def __init__(self) -> None:
        self.n = 0
        self._sum: Tensor | None = None
        self._squares = 0.0

    def add(self, vectors: Tensor) -> None:
        """Add (B, D) vectors."""
        self.n += len(vectors)
        total = vectors.sum(0, dtype=torch.float64)
        self._sum = total if self._sum is None else self._sum + total
        self._squares += torch.linalg.vector_norm(vectors, dtype=torch.float64).item() ** 2

    @property
    def value(self) -> float | None:
        """The mean; None for fewer than two vectors."""
        if self.n < 2 or self._sum is None:
            return None
        # If all vectors are equal, rounding can make the difference of the two sums negative.
        return max(0.0, 2 * (self.n * self._squares - self._sum.square().sum().item()) / (self.n * (self.n - 1)))


@dataclass(frozen=True)
class Diversity:
    """Mean LPIPS over pairs of different images; None without a pair."""

    overall: float | None
    within_class: float | None  # over pairs of the same class; each class with a pair has the same weight


def diversity(space: LpipsSpace, images: Tensor, labels: Tensor, batch_size: int = 50) -> Diversity:
    """Compute the diversity of ``images``, (N, C, H, W) uint8, with ``labels``, (N,) int64."""
    overall, classes = PairwiseMean(), []
    for label in labels.unique():
        class_mean = PairwiseMean()
        for batch in images[labels == label].split(batch_size):
            vectors = space.embed(batch)
            class_mean.add(vectors)
            overall.add(vectors)
        classes.append(class_mean.value)
    with_pairs = [value for value in classes if value is not None]
    return Diversity(overall.value, sum(with_pairs) / len(with_pairs) if with_pairs else None)


@dataclass(frozen=True)
class NearestImages:
    """The nearest reference of each query."""

    distances: Tensor  # (Q,) float32, LPIPS
    indices: Tensor  # (Q,) int64, row of the reference


def nearest(
    space: LpipsSpace, queries: Tensor, references: Tensor, batches: Iterable[Tensor] | None = None
) -> NearestImages:
    """Find the nearest reference of each query by LPIPS.

    All pairs are compared with a matrix product. The distances of each query's four nearest references are then
    recomputed from differences of vectors, so that an exact copy has distance 0.

    Args:
        space: The embedding that defines the distance.
        queries: (Q, C, H, W) uint8.
        references: (M, C, H, W) uint8.
        batches: The same references in batches, such as from an iterator with a progress bar.
    """
    vectors = torch.cat([space.embed(part) for part in queries.split(100)])
    candidate_count = min(CANDIDATES, len(references))
    best = torch.full((len(queries), candidate_count), torch.inf, device=vectors.device)
    rows = torch.zeros((len(queries), candidate_count), dtype=torch.int64, device=vectors.device)
    start = 0
    for part in batches if batches is not None else references.split(250):
        embedded = space.embed(part)
        # ‖q‖² is the same for all references, so it does not affect the order.
        scores = torch.addmm(embedded.square().sum(1), vectors, embedded.T, alpha=-2)
        indices = torch.arange(start, start + len(part), device=vectors.device).expand(len(queries), -1)
        best, order = torch.cat([best, scores], 1).topk(candidate_count, largest=False)
        rows = torch.cat([rows, indices], 1).gather(1, order)
        start += len(part)
    results: list[tuple[Tensor, Tensor]] = []
    for part, candidates in zip(vectors.split(64), rows.split(64), strict=True):
        images = references[candidates.flatten().to(references.device)]
        exact = (space.embed(images).unflatten(0, candidates.shape) - part[:, None]).square().sum(2)
        distances, winners = exact.min(1)
        results.append((distances, candidates.gather(1, winners[:, None])[:, 0]))
    return NearestImages(*(torch.cat(parts).cpu() for parts in zip(*results, strict=True)))


def share_in_closest(distances: Tensor, baseline: Tensor, share: float = 0.01) -> float:
    """Return the share of ``distances`` that are at most the quantile ``share`` of ``baseline``.

    If both have the same distribution, the result is ``share``. Unlike ``share_nearer``, this detects a few copies
    among many distant samples.
    """
    ordered = baseline.sort().values
    last = ordered[max(0, math.ceil(share * len(ordered)) - 1)]
    return (distances <= last).double().mean().item()


def share_nearer(distances: Tensor, baseline: Tensor) -> float:
    """Return the share of pairs (one of ``distances``, one of ``baseline``) in which the first is smaller.

    A tie counts half. If both have the same distribution, the result is 0.5. This is the statistic of the rank
    test for data copying (Meehan et al. 2020, arXiv 2004.05675).
    """
    ordered = baseline.sort().values
    below = torch.searchsorted(ordered, distances, right=False)
    above = len(ordered) - torch.searchsorted(ordered, distances, right=True)
    ties = len(ordered) - below - above
    return ((above + 0.5 * ties).double().mean() / len(ordered)).item()
