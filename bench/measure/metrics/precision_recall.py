"""Precision and recall of features: the share of realistic samples, and the share of real images covered.

Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 to 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 3
ROWS = 2000  # per distance matrix, to limit memory


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall, both in [0, 1]."""

    precision: float  # share of samples inside the manifold of the references
    recall: float  # share of references inside the manifold of the samples


def precision_recall(samples: Tensor, references: Tensor, neighbours: int = NEIGHBOURS) -> PrecisionRecall:
    """Compute precision and recall of (N, D) ``samples`` and (M, D) ``references``, float32 on one device.

    The manifold of a set is the union of balls around its members. The radius of a ball is the distance to the
    member's nearest neighbour number ``neighbours``.

    Raises:
        ValueError: If a set has ``neighbours`` members or fewer.
    """
    if min(len(samples), len(references)) <= neighbours:
        raise ValueError(f"{len(samples)} and {len(references)} members; each needs more than {neighbours}")
    return PrecisionRecall(
        precision=_share_inside(samples, references, neighbours),
        recall=_share_inside(references, samples, neighbours),
    )


def _share_inside(queries: Tensor, members: Tensor, neighbours: int) -> float:
    radii = torch.cat(
        # + 1, since each member is its own nearest neighbour.
        [torch.cdist(part, members).kthvalue(neighbours + 1).values for part in members.split(ROWS)]
    )
    inside = [(torch.cdist(part, members) <= radii).any(dim=1) for part in queries.split(ROWS)]
    return torch.cat(inside).float().mean().item()
