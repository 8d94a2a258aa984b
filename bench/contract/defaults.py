"""The default training of a classifier and the default sampling of a generator.

A submission that relies on one of these has this file among its sources (``bench/contract/fingerprint.py``): a
change here makes its records stale. Records of submissions with an implementation of their own stay valid.
"""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class _Trained(Protocol):
    """The attributes and methods of a classifier that the default training step uses."""

    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler | None

    def augment_batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]: ...
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor: ...


def init_training(
    submission: _Trained, model: nn.Module, optimizer: Optimizer | tuple[Optimizer, LRScheduler]
) -> None:
    """Store the network, its optimizer and, if there is one, its learning-rate schedule on the submission."""
    submission.model = model
    submission.optimizer, submission.schedule = optimizer if isinstance(optimizer, tuple) else (optimizer, None)


def train_step(submission: _Trained, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Augment, compute the loss, and take one step of the optimizer and of the schedule.

    Args:
        submission: Its ``augment_batch`` and ``loss`` are called.
        images: (B, C, H, W) uint8.
        labels: (B,) int64.

    Returns:
        ``loss`` and ``accuracy`` in [0, 1] of this batch before the update, 0-dimensional, detached.
    """
    augmented, targets = submission.augment_batch(images, labels)
    logits = submission.model(augmented)
    loss = submission.loss(logits, targets)
    submission.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    submission.optimizer.step()
    if submission.schedule is not None:
        submission.schedule.step()
    return {"loss": loss.detach(), "accuracy": (logits.argmax(1) == labels).float().mean()}


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy in nats of (B, K) logits, with (B,) int64 labels or (B, K) float32 targets."""
    return F.cross_entropy(logits, labels)


def sample(generator: Any, model: nn.Module, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Draw latents and decode them: (B, C, H, W) uint8, one image per label."""
    images: Tensor = generator.decode(model, generator.latent(model, labels, rng), labels, rng)
    return images
