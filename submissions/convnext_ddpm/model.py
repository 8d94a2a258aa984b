"""A guided diffusion model on a UNet of ConvNeXt blocks: paper 001's generative model, 960,223 parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Batch, Budget, DataSpec, Generator
from bench.augment import random_flip
from reference_models import (
    ConvNeXtUNet,
    ExponentialMovingAverage,
    ancestral_sample,
    diffuse,
    signal_shares,
    to_bytes,
    to_unit_range,
)

TIME_STEPS = 1000  # T
OFFICIAL_STEPS = 50_000


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: str = "linear"  # or "cosine"
    label_drop: float = 0.1  # share of images trained without their label
    ema_decay: float = 0.998  # per step, for 50,000 steps; shorter trainings average over the same share of steps
    ema_start: float = 0.05  # share of the budget in which the average copies the weights: 2,500 of 50,000 steps
    ema: bool = True  # whether the averaged weights are the final ones
    guidance: float = 1.5  # guidance scale; 1 is unguided and needs no second network evaluation
    sampling_steps: int = TIME_STEPS  # fewer steps are evenly spaced


class GuidedDenoiser(nn.Module):
    """The network and its sampling settings."""

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__()
        self.network = ConvNeXtUNet(channels=data.image_shape[0], num_classes=data.num_classes)
        self.image_shape = data.image_shape
        self.schedule, self.guidance, self.sampling_steps = config.schedule, config.guidance, config.sampling_steps

    def forward(self, x: Tensor, times: Tensor, labels: Tensor | None, kept: Tensor | None = None) -> Tensor:
        noise: Tensor = self.network(x, times, labels, kept)
        return noise


class ConvNeXtDDPM(Generator[Config]):
    """A generator trained with Adam on the squared error of the noise; samples use the averaged weights."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return GuidedDenoiser(data, self.config)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=self.config.learning_rate)
        decay = self.config.ema_decay ** (OFFICIAL_STEPS / budget.steps)
        start = round(self.config.ema_start * budget.steps)
        self.average = ExponentialMovingAverage(model, decay=decay, start=start)
        device = next(model.parameters()).device
        self.shares = signal_shares(self.config.schedule, TIME_STEPS).float().to(device)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = to_unit_range(random_flip(batch.images)) * 2 - 1
        noise = torch.randn_like(images)
        times = torch.randint(0, TIME_STEPS, (len(images),), device=images.device)
        kept = torch.rand(len(images), device=images.device) >= self.config.label_drop
        predicted = self.model(diffuse(images, noise, self.shares[times]), times, batch.labels, kept)
        loss = F.mse_loss(predicted, noise)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.average.update()
        return {"loss": loss.detach()}

    def final_weights(self, model: nn.Module) -> Mapping[str, Tensor]:
        return self.average.averaged_weights() if self.config.ema else model.state_dict()

    @staticmethod
    def latent(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(model, GuidedDenoiser)
        return torch.randn(len(labels), *model.image_shape, generator=generator, device=labels.device)

    @staticmethod
    def decode(model: nn.Module, latents: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(model, GuidedDenoiser)

        # One call for conditional and unconditional predictions is faster than two.
        twice, kept = labels.repeat(2), torch.arange(2 * len(labels), device=labels.device) < len(labels)

        def predict_noise(x: Tensor, times: Tensor) -> Tensor:
            if model.guidance == 1:
                conditional: Tensor = model(x, times, labels)
                return conditional
            conditional, free = model(torch.cat([x, x]), times.repeat(2), twice, kept).chunk(2)
            return free + model.guidance * (conditional - free)  # classifier-free guidance, Ho & Salimans 2022

        shares = signal_shares(model.schedule, TIME_STEPS)
        samples = ancestral_sample(predict_noise, latents, shares, generator, steps=model.sampling_steps)
        return to_bytes(samples, -1, 1)

    @staticmethod
    def sample(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return ConvNeXtDDPM.decode(model, ConvNeXtDDPM.latent(model, labels, generator), labels, generator)
