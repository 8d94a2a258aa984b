"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381, table 2), a reference network with 3,504,872 parameters."""

from torch import Tensor, nn

from reference_models.inverted_residual import InvertedResidual

# Expansion t, channels c, repeats n, stride s of the first repeat (the paper's table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """The classifier; (B, 3, H, W) float32 -> (B, num_classes) logits. H and W are 224 in the paper."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, kernel_size=3, stride=2)]
        width = 32
        for expansion, channels, repeats, first_stride in STAGES:
            for index in range(repeats):
                stride = first_stride if index == 0 else 1
                layers.append(InvertedResidual(width, channels, expansion=expansion, stride=stride))
                width = channels
        layers.append(_convolution(width, 1280, kernel_size=1, stride=1))
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).mean((2, 3)))
        return logits


def _convolution(width_in: int, width_out: int, *, kernel_size: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(width_in, width_out, kernel_size, stride, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out), nn.ReLU6())
