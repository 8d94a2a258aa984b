"""Generators of the field: GANs with penalties, and diffusion with every type of time argument."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from bench import Batch, Budget, DataSpec, Generator

PIXELS = 3 * 16 * 16


@dataclass(frozen=True, kw_only=True)
class Config:
    """The fields that every submission has."""

    batch_size: int = 8


def as_bytes(images: Tensor) -> Tensor:
    return ((images.reshape(-1, 3, 16, 16) + 1) * 127.5).clamp(0, 255).to(torch.uint8)


class Adversarial(Generator[Config]):
    """A Wasserstein GAN with clipped weights; the generator is updated in every fifth call."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return nn.Sequential(nn.Linear(8, PIXELS), nn.Tanh())

    def make_critic(self) -> nn.Module:
        return nn.Linear(PIXELS, 1)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model, self.critic = model, self.make_critic()
        self.critic_optimizer = torch.optim.RMSprop(self.critic.parameters(), 1e-3)
        self.model_optimizer = torch.optim.RMSprop(model.parameters(), 1e-3)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        real = batch.images.flatten(1) / 127.5 - 1
        fake = self.model(torch.randn(len(real), 8)).detach()
        loss = self.critic(fake).mean() - self.critic(real).mean() + self.penalty(real, fake)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        if step % 5 == 0:
            self.model_optimizer.zero_grad()
            (-self.critic(self.model(torch.randn(len(real), 8))).mean()).backward()
            self.model_optimizer.step()
        return {"loss": loss.detach()}

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        with torch.no_grad():
            for parameter in self.critic.parameters():
                parameter.clamp_(-0.1, 0.1)
        return real.new_zeros(())

    @staticmethod
    def latent(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(len(labels), 8, generator=generator)

    @staticmethod
    def decode(model: nn.Module, latents: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return as_bytes(model(latents))

    @staticmethod
    def sample(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return as_bytes(model(torch.randn(len(labels), 8, generator=generator)))


class GradientPenalty(Adversarial):
    """WGAN-GP (Gulrajani et al. 2017)."""

    def make_critic(self) -> nn.Module:
        return nn.Sequential(nn.Linear(PIXELS, 4), nn.LeakyReLU(), nn.Linear(4, 1))

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        interpolated = torch.lerp(fake, real, torch.rand(len(real), 1)).requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(interpolated).sum(), interpolated, create_graph=True)
        return 10 * (gradient.norm(2, dim=1) - 1).square().mean()


class R1(GradientPenalty):
    """A penalty on the gradient at real images only (Mescheder et al. 2018), with a convolutional critic."""

    def make_critic(self) -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (3, 16, 16)), nn.Conv2d(3, 4, 4, 4), nn.SiLU(), nn.Flatten(), nn.Linear(64, 1)
        )

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        real = real.requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(real).sum(), real, create_graph=True)
        return gradient.square().sum(1).mean()


class Spectral(Adversarial):
    """SNGAN: a critic with spectral normalisation."""

    def make_critic(self) -> nn.Module:
        return spectral_norm(nn.Linear(PIXELS, 1))

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.new_zeros(())


class Denoiser(nn.Module):
    """A function of an image and a time, which is a number or a tensor of any shape that can be broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(PIXELS, 4), nn.Linear(4, PIXELS)

    def forward(self, x: Tensor, time: Any) -> Tensor:
        hidden = self.down(x) + (time[:, None] if isinstance(time, Tensor) and time.dim() == 1 else time)
        out: Tensor = self.up(hidden.tanh())
        return out


class FlowMatching(Generator[Config]):
    """A straight path from noise to images (Lipman et al. 2023); the time is a tensor with a value per image."""

    STEPS = 20

    def build_model(self, data: DataSpec) -> nn.Module:
        return Denoiser()

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model, self.optimizer = model, torch.optim.Adam(model.parameters(), 1e-3)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = batch.images.flatten(1) / 127.5 - 1
        noise, time = torch.randn_like(images), torch.rand(len(images))
        velocity = self.model(torch.lerp(noise, images, time[:, None]), time)
        loss = functional.mse_loss(velocity, images - noise)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    @classmethod
    def times(cls, count: int) -> Any:
        return torch.linspace(0, 1, cls.STEPS)[:, None].expand(-1, count)

    @classmethod
    def sample(cls, model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:  # type: ignore[override]
        x = torch.randn(len(labels), PIXELS, generator=generator)
        for time in cls.times(len(labels)):
            x = x + model(x, time) / cls.STEPS
        return as_bytes(x)


class FloatTime(FlowMatching):
    """The time is a float."""

    @classmethod
    def times(cls, _count: int) -> Any:
        return [step / cls.STEPS for step in range(cls.STEPS)]


class IntegerTime(FlowMatching):
    """The time is an integer from 0 to 999."""

    STEPS = 1000

    @classmethod
    def times(cls, _count: int) -> Any:
        return range(cls.STEPS)


class ScalarTime(FlowMatching):
    """The time is a zero-dimensional tensor."""

    @classmethod
    def times(cls, _count: int) -> Any:
        return torch.linspace(0, 1, cls.STEPS)


class Adaptive(FlowMatching):
    """Adaptive steps (Euler and Heun must agree): their number depends on the weights and the batch."""

    @classmethod
    def sample(cls, model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:  # type: ignore[override]
        x = torch.randn(len(labels), PIXELS, generator=generator)
        time, length = 0.0, 0.5
        while time < 1:
            velocity = model(x, time)
            later = model(x + length * velocity, time + length)
            if length > 0.1 and length * (later - velocity).abs().max() > 1e-3:
                length /= 2
                continue
            x = x + length * (velocity + later) / 2
            time, length = time + length, min(2 * length, 1 - time - length)
        return as_bytes(x)


GENERATORS: tuple[type[Generator[Any]], ...] = (
    Adversarial, GradientPenalty, R1, Spectral, FlowMatching, FloatTime, IntegerTime, ScalarTime, Adaptive,
)  # fmt: skip
