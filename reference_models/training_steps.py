"""Training steps that most submissions share: for a classifier and for a generative adversarial network (GAN)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer


def cross_entropy_step(
    model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Take one optimizer step on the mean cross-entropy of a batch.

    Args:
        model: Maps images to logits, (B, K).
        optimizer: The optimizer of the model's parameters.
        images: (B, C, H, W), in the dtype and range that the model expects.
        labels: (B,) int64.

    Returns:
        ``loss`` in nats and ``accuracy`` in [0, 1] of this batch before the update, 0-dimensional, detached.
    """
    logits = model(images)
    loss = F.cross_entropy(logits, labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {"loss": loss.detach(), "accuracy": (logits.argmax(1) == labels).float().mean()}


def adversarial_step(  # noqa: PLR0913 - two networks, two optimizers, two kinds of label
    generator: nn.Module,
    discriminator: nn.Module,
    generator_optimizer: Optimizer,
    discriminator_optimizer: Optimizer,
    real: Tensor,
    noise: Tensor,
    *,
    real_label: float = 1.0,
    fake_label: float = 0.0,
    mean_of_losses: bool = False,
) -> dict[str, Tensor]:
    """Update the discriminator once, then the generator once on the same fake images.

    Both losses are binary cross-entropies. The generator's loss is the non-saturating one (Goodfellow et al. 2014,
    arXiv 1406.2661, section 3): it maximises log D(G(z)).

    Args:
        generator: Maps noise to images.
        discriminator: Maps images to probabilities, (B,) in (0, 1).
        generator_optimizer, discriminator_optimizer: The optimizers of the two networks' parameters.
        real: (B, C, H, W) float32 images, in the generator's range.
        noise: The generator's input.
        real_label, fake_label: The discriminator's targets, such as 0.9 and 0.1 for soft labels.
        mean_of_losses: Whether the discriminator's loss is the mean of the real and the fake loss, not the sum.

    Returns:
        ``loss`` (their sum), ``discriminator_loss`` and ``generator_loss``, 0-dimensional, detached.
    """
    fake = generator(noise)
    on_real, on_fake = discriminator(real), discriminator(fake.detach())
    loss_real = F.binary_cross_entropy(on_real, torch.full_like(on_real, real_label))
    loss_fake = F.binary_cross_entropy(on_fake, torch.full_like(on_fake, fake_label))
    discriminator_loss = (loss_real + loss_fake) / (2 if mean_of_losses else 1)
    discriminator_optimizer.zero_grad(set_to_none=True)
    discriminator_loss.backward()
    discriminator_optimizer.step()

    judged = discriminator(fake)
    generator_loss = F.binary_cross_entropy(judged, torch.ones_like(judged))
    generator_optimizer.zero_grad(set_to_none=True)
    generator_loss.backward()
    generator_optimizer.step()
    return {
        "loss": (discriminator_loss + generator_loss).detach(),
        "discriminator_loss": discriminator_loss.detach(),
        "generator_loss": generator_loss.detach(),
    }


def to_bytes(images: Tensor, low: float, high: float) -> Tensor:
    """Convert images with values in [low, high] to uint8: scaled to [0, 255], rounded and clamped."""
    return ((images - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
