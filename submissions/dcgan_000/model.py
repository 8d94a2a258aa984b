"""A small DCGAN: paper 000's generative model, 980,724 parameters with its discriminator."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, DataSpec, Generator
from reference_models import (
    DCGANDiscriminator,
    DCGANGenerator,
    adversarial_step,
    dcgan_init_,
    to_bytes,
    to_unit_range,
)

LATENT = 100


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 128  # from the cited implementation
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5
    features: int = 46  # base width f; the widest layers have 4 f channels


class DCGAN(Generator[Config]):
    """A DCGAN; each step updates the discriminator, then the generator on the same fake images."""

    def build_model(self, data: DataSpec) -> nn.Module:
        f = self.config.features
        return dcgan_init_(DCGANGenerator(LATENT, (4 * f, 2 * f, f), channels=data.image_shape[0], bias=True))

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        f = self.config.features
        self.generator = model
        self.discriminator = dcgan_init_(DCGANDiscriminator((f, 2 * f, 4 * f), bias=True))
        self.discriminator.to(next(model.parameters()).device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_optimizer = self.adam(self.generator)
        self.discriminator_optimizer = self.adam(self.discriminator)

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(), lr=self.config.learning_rate, betas=(self.config.beta1, 0.999)
        )

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        real = to_unit_range(batch.images) * 2 - 1
        return adversarial_step(
            self.generator,
            self.discriminator,
            self.generator_optimizer,
            self.discriminator_optimizer,
            real,
            torch.randn(len(real), LATENT, 1, 1, device=real.device),
            mean_of_losses=True,
        )

    @staticmethod
    def latent(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(len(labels), LATENT, 1, 1, generator=generator, device=labels.device)

    @staticmethod
    def decode(model: nn.Module, latents: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return to_bytes(model(latents), -1, 1)

    @staticmethod
    def sample(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return DCGAN.decode(model, DCGAN.latent(model, labels, generator), labels, generator)
