"""A small DCGAN: paper 000's generative model, 980,724 parameters with its discriminator."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Batch, Budget, DataSpec, Generator
from reference_models import DCGANDiscriminator, DCGANGenerator, dcgan_init_, to_unit_range

LATENT = 100


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 128  # the cited implementation's
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5
    features: int = 46  # of the widest layers: 4 times this


class DCGAN(Generator[Config]):
    """One step is one update of the discriminator, then one of the generator on the same fake images."""

    def build_model(self, data: DataSpec) -> nn.Module:
        f = self.config.features
        return dcgan_init_(DCGANGenerator(LATENT, (4 * f, 2 * f, f), channels=data.image_shape[0], bias=True))

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        f = self.config.features
        device = next(model.parameters()).device
        self.generator = model
        self.discriminator = dcgan_init_(DCGANDiscriminator((f, 2 * f, 4 * f), bias=True))
        self.discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_optimizer = self.adam(self.generator)
        self.discriminator_optimizer = self.adam(self.discriminator)

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(), lr=self.config.learning_rate, betas=(self.config.beta1, 0.999)
        )

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        real = to_unit_range(batch.images) * 2 - 1
        fake = self.generator(torch.randn(len(real), LATENT, 1, 1, device=real.device))

        on_real, on_fake = self.discriminator(real), self.discriminator(fake.detach())
        loss_real = F.binary_cross_entropy(on_real, torch.ones_like(on_real))
        loss_fake = F.binary_cross_entropy(on_fake, torch.zeros_like(on_fake))
        discriminator_loss = (loss_real + loss_fake) / 2
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        discriminator_loss.backward()
        self.discriminator_optimizer.step()

        judged = self.discriminator(fake)
        generator_loss = F.binary_cross_entropy(judged, torch.ones_like(judged))
        self.generator_optimizer.zero_grad(set_to_none=True)
        generator_loss.backward()
        self.generator_optimizer.step()
        return {
            "loss": (discriminator_loss + generator_loss).detach(),
            "discriminator_loss": discriminator_loss.detach(),
            "generator_loss": generator_loss.detach(),
        }

    @staticmethod
    def sample(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), LATENT, 1, 1, generator=generator, device=labels.device)
        images: Tensor = model(noise)
        return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
