"""CNN7: one of paper 004's three networks, 3,004,917 parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import color_jitter, random_crop, random_flip, random_rotation
from reference_models import Normalize, cross_entropy_step
from reference_models.lopez import cnn7


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 100
    learning_rate: float = 0.039065662473146474
    momentum: float = 0.1789576010660325
    dampening: float = 0.3440547236489297
    augment: bool = True


class CNN7(Classifier[Config]):
    """A classifier trained with SGD at a constant rate on cross-entropy, with the author's four transforms."""

    def build_model(self, data: DataSpec) -> nn.Module:
        channels = data.image_shape[0]
        return nn.Sequential(Normalize((0.5,) * channels, (0.5,) * channels), cnn7())

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=self.config.learning_rate,
            momentum=self.config.momentum,
            dampening=self.config.dampening,
        )

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = batch.images
        if self.config.augment:
            images = random_crop(random_flip(images), padding=3)
            images = color_jitter(images, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1)
            images = random_rotation(images, degrees=5)
        return cross_entropy_step(self.model, self.optimizer, images, batch.labels)
