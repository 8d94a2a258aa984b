"""DenseNet (Huang et al. 2017, arXiv 1608.06993): each layer receives all earlier layers of its block."""

import torch
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """A layer that appends ``growth`` feature maps to its input; (B, C, H, W) -> (B, C + growth, H, W).

    BN, ReLU, 3×3 convolution (section 3, H). With ``bottleneck``, these are preceded by BN, ReLU and a 1×1
    convolution to ``bottleneck`` channels (four times the growth in DenseNet-B). Convolutions have no biases.
    """

    def __init__(self, in_channels: int, growth: int, *, bottleneck: int | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_channels
        if bottleneck is not None:
            layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, bottleneck, 1, bias=False)]
            width = bottleneck
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, padding=1, bias=False)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


class Transition(nn.Module):
    """A transition between blocks: (BN, ReLU,) 1×1 convolution, 2×2 mean; (B, C, H, W) -> (B, out, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm2d(in_channels), nn.ReLU()] if norm else []
        layers += [nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.AvgPool2d(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class DenseNet(nn.Module):
    """The CIFAR networks of section 4.2; (B, channels, H, W) float32 -> (B, num_classes) logits.

    A 3×3 convolution, dense blocks of equal depth with transitions in between, mean over pixels, linear layer. The
    default arguments give DenseNet-BC with 100 layers and growth 12: 769,162 parameters for ten classes.
    """

    def __init__(  # noqa: PLR0913 - what the paper and its followers vary
        self,
        *,
        growth: int = 12,
        layers_per_block: int = 16,
        blocks: int = 3,
        stem: int = 24,
        bottleneck: bool = True,
        norm: bool = True,
        channels: int = 3,
        num_classes: int = 10,
    ) -> None:
        """Create the layers.

        Args:
            growth: k, feature maps added per layer.
            layers_per_block: Dense layers per block; with a bottleneck, a layer has two convolutions.
            blocks: Number of dense blocks.
            stem: k0, feature maps of the first convolution.
            bottleneck: Whether layers start with a 1×1 convolution to 4k channels (DenseNet-B).
            norm: Whether transitions and the end have batch normalisation and ReLU, as in the paper; if not, the
                stem has a bias.
            channels: Channels of the image.
            num_classes: Number of logits.
        """
        super().__init__()
        stages: list[nn.Module] = [nn.Conv2d(channels, stem, 3, padding=1, bias=not norm)]
        width = stem
        for block in range(blocks):
            if block > 0:
                stages.append(Transition(width, width // 2, norm=norm))  # compression 0.5 (DenseNet-C)
                width //= 2
            for _ in range(layers_per_block):
                stages.append(DenseLayer(width, growth, bottleneck=4 * growth if bottleneck else None))
                width += growth
        if norm:
            stages += [nn.BatchNorm2d(width), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(x).mean((2, 3)))
        return logits
