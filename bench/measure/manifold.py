"""Precision and recall of features: how many samples look real, and how much of what is real they cover.

Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 to 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 3
ROWS = 2000  # compared at a time


@dataclass(frozen=True)
class PrecisionRecall:
    """Both in [0, 1]."""

    precision: float  # share of samples inside the manifold of the references
    recall: float  # share of references inside the manifold of the samples


def precision_recall(samples: Tensor, references: Tensor, neighbours: int = NEIGHBOURS) -> PrecisionRecall:
    """Of (N, D) ``samples`` and (M, D) ``references``, float32 on one device.

    A set's manifold is the union of balls around its members, each as large as the distance to the member's
    third nearest neighbour.

    Raises:
        ValueError: If a set has no more than ``neighbours`` members.
    """
    if min(len(samples), len(references)) <= neighbours:
        raise ValueError(f"{len(samples)} and {len(references)} members; each needs more than {neighbours}")
    return PrecisionRecall(
        precision=_share_inside(samples, references, neighbours),
        recall=_share_inside(references, samples, neighbours),
    )


def _share_inside(queries: Tensor, members: Tensor, neighbours: int) -> float:
    radii = torch.cat(
        # A member is its own nearest; hence one more.
        [torch.cdist(part, members).kthvalue(neighbours + 1).values for part in members.split(ROWS)]
    )
    inside = [(torch.cdist(part, members) <= radii).any(dim=1) for part in queries.split(ROWS)]
    return torch.cat(inside).float().mean().item()
