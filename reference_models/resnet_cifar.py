"""ResNets for CIFAR (He et al. 2016, arXiv 1512.03385, section 4.2): 6n + 2 layers, parameter-free shortcuts."""

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; (B, C, H, W) -> (B, out, H/stride, W/stride).

    If the shape changes, the shortcut takes every second pixel and pads new channels with zeros (option A of the
    paper), so it has no parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            half = self.new_channels // 2
            shortcut = F.pad(shortcut, (0, 0, 0, 0, half, self.new_channels - half))
        return F.relu(self.layers(x) + shortcut)


class CifarResNet(nn.Module):
    """The CIFAR ResNet classifier; (B, channels, H, W) float32 -> (B, num_classes) logits.

    The default arguments give ResNet-20: 269,722 parameters for ten classes (0.27 M in the paper's table 6).
    """

    def __init__(self, *, blocks_per_stage: int = 3, channels: int = 3, num_classes: int = 10) -> None:
        """Create ``6 blocks_per_stage + 2`` layers in three stages of 16, 32 and 64 channels."""
        super().__init__()
        stages: list[nn.Module] = [
            nn.Conv2d(channels, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        ]
        width_in = 16
        for width in (16, 32, 64):
            for block in range(blocks_per_stage):
                stages.append(BasicBlock(width_in, width, stride=2 if block == 0 and width > 16 else 1))
                width_in = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(x).mean((2, 3)))
        return logits


def he_init_(network: nn.Module) -> nn.Module:
    """Initialise convolutions in place as in He et al. 2015 (arXiv 1502.01852, eq. 10); return the network."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
