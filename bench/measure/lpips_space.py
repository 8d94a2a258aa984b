"""LPIPS as distances in a space, which makes the mean over all pairs and a search for neighbours cheap.

LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1) sums, over five layers of a network, the weighted squared
differences of normalised activations, averaged over positions. With each activation multiplied by the square
root of its weight it is the squared Euclidean distance of two vectors, so that over all N (N - 1) / 2 pairs its
mean follows from N vectors, and all distances to a set from one product of matrices.
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

from bench.measure import weights

Net = Literal["alex", "vgg"]
SIZE = 64  # LPIPS was fitted on patches of 64 × 64; AlexNet has nothing left of 28 × 28
WEIGHTS = {"alex": weights.ALEX, "vgg": weights.VGG}
CANDIDATES = 4  # of each query, compared again without the rounding of the product


def load_lpips(net: Net, device: str = "cpu") -> nn.Module:
    """The package's network (version 0.1, its own linear heads) with the convolutions put in.

    Raises:
        DataError: If the weights are absent or damaged.
    """
    tensors = weights.read(WEIGHTS[net])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses names that torchvision has renamed
        # Without `pnet_rand` it would download; with it the convolutions are random until they are replaced here.
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = network.net.state_dict()
    for name in state:
        layer = name.split(".", 1)[1]  # slice1.0.weight is torchvision's features.0.weight
        state[name] = torch.from_numpy(tensors.pop(f"features.{layer}"))
    assert not tensors
    network.net.load_state_dict(state)
    placed: nn.Module = network.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)
    return placed


class LpipsSpace:
    """Images as vectors whose squared distances are their LPIPS.

    Args:
        net: The network, ``alex`` or ``vgg``.
        size: Images are resized to this side first (bilinear, corners not aligned); None leaves them as they are.
        device: Where to compute.
    """

    def __init__(self, net: Net, size: int | None = SIZE, device: str = "cpu") -> None:
        self.network: Any = load_lpips(net, device)
        self.size, self.device = size, device

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """(B, 1 or 3, H, W) uint8 to (B, D) float32 on the device; D is 31,872 (alex) or 499,712 (vgg) at 64."""
        return self.embed_unit(images.to(self.device).expand(-1, 3, -1, -1).float() / 127.5 - 1)

    @torch.no_grad()
    def embed_unit(self, x: Tensor) -> Tensor:
        """The same of (B, 3, H, W) float32, which LPIPS expects in [-1, 1]."""
        if self.size is not None:
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        x = self.network.scaling_layer(x).contiguous(memory_format=torch.channels_last)
        parts = []
        for activations, head in zip(self.network.net(x), self.network.lins, strict=True):
            normalised = lpips.normalize_tensor(activations)
            positions = activations.shape[2] * activations.shape[3]
            weight = head.model[-1].weight.view(1, -1, 1, 1)  # none is below 0
            parts.append((normalised * (weight / positions).sqrt()).flatten(1))
        return torch.cat(parts, 1)

    def distances(self, ones: Tensor, others: Tensor) -> Tensor:
        """LPIPS of corresponding images of two equally long sets, (B,) float32."""
        return (self.embed(ones) - self.embed(others)).square().sum(1)


class PairwiseMean:
    """The mean squared distance over all pairs of a set, in one pass: 2 (n Σ‖v‖² - ‖Σv‖²) / (n (n - 1))."""

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
        """None for fewer than two vectors."""
        if self.n < 2 or self._sum is None:
            return None
        # Two sums that rounding may leave the wrong way round, where all vectors are the same.
        return max(0.0, 2 * (self.n * self._squares - self._sum.square().sum().item()) / (self.n * (self.n - 1)))


@dataclass(frozen=True)
class Diversity:
    """Mean LPIPS over pairs of different images; None where there is no such pair."""

    overall: float | None
    within_class: float | None  # over pairs of one class, every class with a pair weighing the same


def diversity(space: LpipsSpace, images: Tensor, labels: Tensor, batch_size: int = 50) -> Diversity:
    """Of all pairs of ``images``, (N, C, H, W) uint8, and of those that share a label, (N,) int64."""
    overall, classes = PairwiseMean(), []
    for label in labels.unique():
        own = PairwiseMean()
        for batch in images[labels == label].split(batch_size):
            vectors = space.embed(batch)
            own.add(vectors)
            overall.add(vectors)
        classes.append(own.value)
    with_pairs = [value for value in classes if value is not None]
    return Diversity(overall.value, sum(with_pairs) / len(with_pairs) if with_pairs else None)


@dataclass(frozen=True)
class Neighbours:
    """For each query its nearest reference."""

    distances: Tensor  # (Q,) float32, LPIPS
    indices: Tensor  # (Q,) int64, into the references


def nearest(
    space: LpipsSpace, queries: Tensor, references: Tensor, batches: Iterable[Tensor] | None = None
) -> Neighbours:
    """The nearest of all (M, C, H, W) ``references`` to each of (Q, C, H, W) ``queries``, uint8, by LPIPS.

    Every pair is compared, by a product of matrices; the four nearest of each query are then compared again
    by their differences, so that a copy is at distance 0 exactly.

    Args:
        space: Whose distance.
        queries: What neighbours are looked for of.
        references: Where they are looked for.
        batches: The references once more, in parts; for a display of progress.
    """
    vectors = torch.cat([space.embed(part) for part in queries.split(100)])
    kept = min(CANDIDATES, len(references))
    best = torch.full((len(queries), kept), torch.inf, device=vectors.device)
    where = torch.zeros((len(queries), kept), dtype=torch.int64, device=vectors.device)
    start = 0
    for part in batches if batches is not None else references.split(250):
        others = space.embed(part)
        # ‖q‖² is the same for all references and changes no order.
        scores = torch.addmm(others.square().sum(1), vectors, others.T, alpha=-2)
        indices = torch.arange(start, start + len(part), device=vectors.device).expand(len(queries), -1)
        best, order = torch.cat([best, scores], 1).topk(kept, largest=False)
        where = torch.cat([where, indices], 1).gather(1, order)
        start += len(part)
    found: list[tuple[Tensor, Tensor]] = []
    for part, candidates in zip(vectors.split(64), where.split(64), strict=True):
        images = references[candidates.flatten().to(references.device)]
        again = (space.embed(images).unflatten(0, candidates.shape) - part[:, None]).square().sum(2)
        distances, winners = again.min(1)
        found.append((distances, candidates.gather(1, winners[:, None])[:, 0]))
    return Neighbours(*(torch.cat(parts).cpu() for parts in zip(*found, strict=True)))


def share_in_closest(distances: Tensor, others: Tensor, share: float = 0.01) -> float:
    """How many of ``distances`` are at most the ``share`` quantile of ``others``: that share where both are alike.

    Of pairs that are compared as by ``share_nearer`` a few copies among much that is far away show nothing.
    """
    ordered = others.sort().values
    last = ordered[max(0, math.ceil(share * len(ordered)) - 1)]
    return (distances <= last).double().mean().item()


def share_nearer(distances: Tensor, others: Tensor) -> float:
    """In how many pairs of one of ``distances`` and one of ``others`` the first is smaller, a tie counting half.

    0.5 where both are alike: the statistic of the rank test for copying (Meehan et al. 2020, arXiv 2004.05675).
    """
    ordered = others.sort().values
    below = torch.searchsorted(ordered, distances, right=False)
    above = len(ordered) - torch.searchsorted(ordered, distances, right=True)
    ties = len(ordered) - below - above
    return ((above + 0.5 * ties).double().mean() / len(ordered)).item()
