"""A DCGAN with soft labels: paper 003's generative model, 595,840 parameters with its discriminator."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, DataSpec, Generator
from bench.augment import random_flip
from reference_models import (
    DCGANDiscriminator,
    DCGANGenerator,
    adversarial_step,
    dcgan_init_,
    to_bytes,
    to_unit_range,
)

LATENT = 128


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 128
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5
    real_label: float = 0.9
    fake_label: float = 0.1


class DCGAN(Generator[Config]):
    """A DCGAN; each step updates the discriminator, then the generator on the same fake images."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return dcgan_init_(DCGANGenerator(LATENT, (128, 64, 32), channels=data.image_shape[0]))

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.generator = model
        self.discriminator = dcgan_init_(DCGANDiscriminator((32, 64, 128), norm_first=True))
        self.discriminator.to(next(model.parameters()).device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_optimizer = self.adam(self.generator)
        self.discriminator_optimizer = self.adam(self.discriminator)

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(), lr=self.config.learning_rate, betas=(self.config.beta1, 0.999)
        )

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        real = to_unit_range(random_flip(batch.images)) * 2 - 1
        return adversarial_step(
            self.generator,
            self.discriminator,
            self.generator_optimizer,
            self.discriminator_optimizer,
            real,
            torch.randn(len(real), LATENT, 1, 1, device=real.device),
            real_label=self.config.real_label,
            fake_label=self.config.fake_label,
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
