"""Depthwise-separable convolutions with squeeze-and-excitation: paper 000's classifier, 84,194 parameters."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import random_flip, random_resized_crop, random_rotation
from reference_models import (
    DepthwiseSeparableConv2d,
    SqueezeExcitation,
    cross_entropy_step,
    to_unit_range,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 128  # inferred from the paper's ±, see submission.yaml
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01  # AdamW's default
    pooling: bool = True  # max-pool after each of the four blocks
    flip: bool = True
    crop: bool = True  # random resized crop with 0.8 to 1 of the area
    rotation: bool = True  # uniform in ±15 degrees


class Network(nn.Module):
    """A stem, four blocks of (depthwise, pointwise, BN, SE, ReLU, pool), mean over pixels, linear layer."""

    def __init__(self, channels: int, num_classes: int, pooling: bool) -> None:
        super().__init__()
        widths = (16, 32, 64, 128, 256)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    DepthwiseSeparableConv2d(width_in, width_out),
                    nn.BatchNorm2d(width_out),
                    SqueezeExcitation(width_out, reduction=16),
                    nn.ReLU(),
                    nn.MaxPool2d(2) if pooling else nn.Identity(),
                )
                for width_in, width_out in pairwise(widths)
            )
        )
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(self.stem(to_unit_range(images)))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class SeDsConv(Classifier[Config]):
    """A classifier trained with AdamW at a constant rate on cross-entropy."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return Network(data.image_shape[0], data.num_classes, self.config.pooling)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return cross_entropy_step(self.model, self.optimizer, self.augment(batch.images), batch.labels)

    def augment(self, images: Tensor) -> Tensor:
        """Apply the paper's three transforms, in its order."""
        if self.config.flip:
            images = random_flip(images)
        if self.config.crop:
            images = random_resized_crop(images, scale=(0.8, 1.0))
        if self.config.rotation:
            images = random_rotation(images, degrees=15)
        return images
