"""ResNet-20 as trained by He et al. 2016 on CIFAR; a reference, 275,572 parameters with 100 classes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import random_crop, random_flip
from reference_models import CifarResNet, Normalize, cross_entropy_step, he_init_


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    blocks_per_stage: int = 3


class ResNet20(Classifier[Config]):
    """A classifier trained with SGD with momentum; the rate is divided by 10 at 1/2 and 3/4 of the budget."""

    def build_model(self, data: DataSpec) -> nn.Module:
        network = CifarResNet(
            blocks_per_stage=self.config.blocks_per_stage,
            channels=data.image_shape[0],
            num_classes=data.num_classes,
        )
        return nn.Sequential(Normalize(data.channel_mean, data.channel_std), he_init_(network))

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=self.config.learning_rate,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
        )
        milestones = [budget.steps // 2, budget.steps * 3 // 4]
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, milestones, gamma=0.1)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = random_flip(random_crop(batch.images, padding=4))
        values = cross_entropy_step(self.model, self.optimizer, images, batch.labels)
        self.schedule.step()
        return values
