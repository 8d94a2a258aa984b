"""DCGAN with a step decay: paper 002's generative model, 967,072 parameters with its discriminator."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from bench import Batch, Budget, DataSpec, Generator
from reference_models import DCGANDiscriminator, DCGANGenerator, adversarial_step, to_bytes, to_unit_range

LATENT = 100


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 64
    generator_learning_rate: float = 7.508166505062501e-4
    discriminator_learning_rate: float = 4.53966691674159e-4
    betas: tuple[float, float] = (0.5, 0.99)
    step_size: int = 6  # in the author's epochs of 1,000 steps
    gamma: float = 0.20783980641627642
    stepped_twice: bool = True  # as in the author's loop: the rate decays every step_size² epochs
    data_low: float = 0.0  # value of black in the networks' data; -1 uses the full range of tanh


class Generator002(nn.Module):
    """The generator and its value of black, for the conversion of samples to uint8."""

    def __init__(self, channels: int, black: float) -> None:
        super().__init__()
        self.network = DCGANGenerator(LATENT, (96, 64, 48), channels=channels)
        self.black = black

    def forward(self, noise: Tensor) -> Tensor:
        images: Tensor = self.network(noise)
        return images


class DCGAN(Generator[Config]):
    """A DCGAN; each step updates the discriminator, then the generator on the same fake images."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return Generator002(data.image_shape[0], self.config.data_low)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        config = self.config
        self.generator, self.discriminator = model, DCGANDiscriminator((64, 128, 256))
        self.discriminator.to(next(model.parameters()).device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=config.generator_learning_rate, betas=config.betas
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=config.discriminator_learning_rate, betas=config.betas
        )
        epoch = max(1, budget.steps // 50)  # 1,000 steps of an official run
        period = epoch * config.step_size ** (2 if config.stepped_twice else 1)
        self.generator_schedule = StepLR(self.generator_optimizer, period, config.gamma)
        self.discriminator_schedule = StepLR(self.discriminator_optimizer, period, config.gamma)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        low = self.config.data_low
        real = to_unit_range(batch.images) * (1 - low) + low
        values = adversarial_step(
            self.generator,
            self.discriminator,
            self.generator_optimizer,
            self.discriminator_optimizer,
            real,
            torch.randn(len(real), LATENT, 1, 1, device=real.device),
        )
        self.generator_schedule.step()
        self.discriminator_schedule.step()
        return values

    @staticmethod
    def latent(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(len(labels), LATENT, 1, 1, generator=generator, device=labels.device)

    @staticmethod
    def decode(model: nn.Module, latents: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(model, Generator002)
        return to_bytes(model(latents), model.black, 1)

    @staticmethod
    def sample(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return DCGAN.decode(model, DCGAN.latent(model, labels, generator), labels, generator)
