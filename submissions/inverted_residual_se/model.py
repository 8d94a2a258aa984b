"""Inverted residuals with squeeze-and-excitation and Swish: paper 002's classifier, 86,692 parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Batch, Budget, Classifier, DataSpec
from reference_models import InvertedResidual, Normalize, cross_entropy_step

ACTIVATIONS = {"swish": nn.SiLU, "relu": nn.ReLU, "softplus": nn.Softplus}


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 64
    learning_rate: float = 0.005039249213460068
    weight_decay: float = 1.1710476673989e-05  # L2 penalty, added to the gradient by Adam
    dropout: float = 0.0  # the authors' code defines 0.2727 but does not use it
    activation: str = "swish"
    inverted_residuals: bool = True  # False for plain 3×3 convolutions of the same widths and strides
    last_expansion: int = 8
    extra_block: bool = False


class Network(nn.Module):
    """A stem, three blocks down to 7×7, mean over pixels, linear layer; (B, C, 28, 28) uint8 -> (B, K)."""

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__()
        activation = ACTIVATIONS[config.activation]

        def block(width_in: int, width_out: int, expansion: int, stride: int) -> nn.Module:
            if not config.inverted_residuals:
                return _plain(width_in, width_out, stride, activation)
            return InvertedResidual(
                width_in,
                width_out,
                expansion=expansion,
                stride=stride,
                activation=activation,
                squeeze_reduction=4,
            )

        self.norm = Normalize(data.channel_mean, data.channel_std)
        self.layers = nn.Sequential(
            _plain(data.image_shape[0], 16, 1, activation),
            block(16, 32, 4, 2),
            block(32, 32, 4, 1),
            block(32, 32, 4, 1) if config.extra_block else nn.Identity(),
            block(32, 64, config.last_expansion, 2),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(64, data.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.layers(self.norm(images)).mean((2, 3))
        logits: Tensor = self.head(self.dropout(features))
        return logits


def _plain(width_in: int, width_out: int, stride: int, activation: type[nn.Module]) -> nn.Module:
    convolution = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out), activation())


class InvertedResidualSE(Classifier[Config]):
    """A classifier trained with Adam at a constant rate on cross-entropy, without augmentation."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return Network(data, self.config)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(
            model.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return cross_entropy_step(self.model, self.optimizer, batch.images, batch.labels)
