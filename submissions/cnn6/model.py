"""CNN6: one of paper 004's three networks, 2,494,022 parameters; also the search space that gave all three."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import color_jitter, random_crop, random_flip, random_rotation
from reference_models import Normalize, cross_entropy_step
from reference_models.lopez import cnn1, cnn2, cnn3, cnn4, cnn5, cnn6, cnn7, cnn8

NETWORKS = {network.__name__: network for network in (cnn1, cnn2, cnn3, cnn4, cnn5, cnn6, cnn7, cnn8)}


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 100
    learning_rate: float = 0.004278943210433503
    momentum: float = 0.009581454091906229
    dampening: float = 0.094655749224775
    augment: bool = True
    # Further dimensions of the author's search: the network, the optimizer and its settings.
    network: str = "cnn6"
    optimizer: str = "sgd"
    adam_learning_rate: float = 1e-3
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    rmsprop_learning_rate: float = 1e-3
    rmsprop_alpha: float = 0.99
    rmsprop_momentum: float = 0.0
    adagrad_learning_rate: float = 1e-2
    adagrad_initial_accumulator: float = 0.0
    adagrad_decay: float = 0.0


class CNN6(Classifier[Config]):
    """A classifier trained with SGD (or another optimizer in a search), a constant rate and four transforms."""

    def build_model(self, data: DataSpec) -> nn.Module:
        channels = data.image_shape[0]
        return nn.Sequential(Normalize((0.5,) * channels, (0.5,) * channels), NETWORKS[self.config.network]())

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = make_optimizer(self.config, list(model.parameters()))

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        images = batch.images
        if self.config.augment:
            images = random_crop(random_flip(images), padding=3)
            images = color_jitter(images, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1)
            images = random_rotation(images, degrees=5)
        return cross_entropy_step(self.model, self.optimizer, images, batch.labels)


def make_optimizer(config: Config, parameters: list[nn.Parameter]) -> Optimizer:
    """Create the optimizer named in the config."""
    if config.optimizer == "adam":
        betas = (config.adam_beta1, config.adam_beta2)
        return torch.optim.Adam(parameters, lr=config.adam_learning_rate, betas=betas)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            parameters,
            lr=config.rmsprop_learning_rate,
            alpha=config.rmsprop_alpha,
            momentum=config.rmsprop_momentum,
        )
    if config.optimizer == "adagrad":
        return torch.optim.Adagrad(
            parameters,
            lr=config.adagrad_learning_rate,
            lr_decay=config.adagrad_decay,
            initial_accumulator_value=config.adagrad_initial_accumulator,
        )
    if config.optimizer != "sgd":
        raise ValueError(f"optimizer {config.optimizer!r}; there are sgd, adam, rmsprop and adagrad")
    return torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=config.momentum, dampening=config.dampening
    )
