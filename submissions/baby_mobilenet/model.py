"""Baby MobileNet: paper 001's classifier, 97,584 parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import (
    color_jitter,
    gaussian_blur,
    random_crop,
    random_erasing,
    random_flip,
    random_rotation,
)
from reference_models import DepthwiseSeparableConv2d, Normalize, cross_entropy_step


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 512
    learning_rate: float = 3e-3
    decay: float = 0.7  # factor on the learning rate after each tenth of the budget; 1 keeps it constant
    weight_decay: float = 5e-4  # L2 penalty, added to the gradients
    dropout: float = 0.1
    inner_activation: bool = False  # ReLU between depthwise and pointwise convolution, as in MobileNet
    augment: bool = True
    erasing: float = 0.25  # probability


class Network(nn.Module):
    """Two convolutions with max-pools, dropout, three depthwise-separable ones, mean over pixels, linear layer."""

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__()
        self.norm = Normalize(data.channel_mean, data.channel_std)
        self.layers = nn.Sequential(
            *_normalised(nn.Conv2d(data.image_shape[0], 32, 3, padding=1), 32),
            nn.MaxPool2d(2),
            *_normalised(nn.Conv2d(32, 64, 3, padding=1), 64),
            nn.MaxPool2d(2),
            nn.Dropout(config.dropout),
            *_normalised(_separable(64, 120, config.inner_activation), 120),
            *_normalised(_separable(120, 220, config.inner_activation), 220),
            *_normalised(_separable(220, 120, config.inner_activation), 120),
        )
        self.head = nn.Linear(120, data.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(self.norm(images)).mean((2, 3)))
        return logits


def _normalised(convolution: nn.Module, width: int) -> tuple[nn.Module, ...]:
    return convolution, nn.BatchNorm2d(width), nn.ReLU()


def _separable(width_in: int, width_out: int, activation: bool) -> nn.Module:
    layer = DepthwiseSeparableConv2d(width_in, width_out, bias=True)
    return nn.Sequential(layer.depthwise, nn.ReLU(), layer.pointwise) if activation else layer


class BabyMobileNet(Classifier[Config]):
    """A classifier trained with Adam and a step decay on cross-entropy."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return Network(data, self.config)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        assert isinstance(model, Network)
        self.model = model
        self.mean_colour = (model.norm.mean.flatten() * 255).round().to(torch.uint8)
        rate, weight_decay = self.config.learning_rate, self.config.weight_decay
        self.optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=weight_decay)
        tenth = max(1, budget.steps // 10)  # 1,000 steps of an official run
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, tenth, gamma=self.config.decay)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = self.augment(batch.images) if self.config.augment else batch.images
        values = cross_entropy_step(self.model, self.optimizer, images, batch.labels)
        self.schedule.step()
        return values

    def augment(self, images: Tensor) -> Tensor:
        """Apply the paper's transforms in its order; erased pixels get the mean colour, as after normalisation."""
        images = random_crop(images, padding=4)
        images = random_flip(images)
        images = random_rotation(images, degrees=10)
        images = color_jitter(images, brightness=0.1, contrast=0.1, saturation=0.1)
        images = gaussian_blur(images, kernel_size=3, sigma=(0.1, 1.0))
        return random_erasing(images, p=self.config.erasing, value=self.mean_colour)
