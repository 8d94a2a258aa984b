"""A narrow DenseNet-BC: paper 003's classifier, 99,735 parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import augmix, random_crop, random_flip
from reference_models import DenseNet, Normalize, cross_entropy_step


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 512
    learning_rate: float = 0.0075
    schedule: str = "constant"  # or "cosine", down to zero
    growth: int = 8
    stem: int = 31  # channels of the first convolution; not in the paper, chosen to match its parameter count
    bottleneck: bool = True  # False for the layers in the paper's text: BN, ReLU, 3×3 convolution
    augmix: bool = True


class DenseNetBC(Classifier[Config]):
    """A DenseNet of four blocks of five layers, trained with Adam on cross-entropy."""

    def build_model(self, data: DataSpec) -> nn.Module:
        network = DenseNet(
            growth=self.config.growth,
            layers_per_block=5,
            blocks=4,
            stem=self.config.stem,
            bottleneck=self.config.bottleneck,
            norm=self.config.bottleneck,
            channels=data.image_shape[0],
            num_classes=data.num_classes,
        )
        return nn.Sequential(Normalize(data.channel_mean, data.channel_std), network)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=self.config.learning_rate)
        lowest = {"constant": self.config.learning_rate, "cosine": 0.0}[self.config.schedule]
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, budget.steps, eta_min=lowest)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = random_flip(random_crop(batch.images, padding=4, mode="reflect"))
        if self.config.augmix:
            images = augmix(images)
        values = cross_entropy_step(self.model, self.optimizer, images, batch.labels)
        self.schedule.step()
        return values
