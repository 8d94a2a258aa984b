"""Small convolutional networks of the field, on 3 x 16 x 16 images of 4 classes, with their costs."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.counts import Counts, conv, linear, macs, norm, params, total

HEAD = linear(8, 4)  # after global average pooling of 8 channels


class Pooled(nn.Module):
    """A body with 8 output channels, global average pooling, and a linear layer."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(*body), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x).mean((2, 3)))
        return out


def stem(stride: int = 2) -> nn.Conv2d:
    return nn.Conv2d(3, 8, 3, stride, 1)


STEM = conv(3, 8, 3, 64)  # to 8 x 8 positions


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class LeNet(nn.Module):
    """The network of torch's tutorial, with reshape in place of view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 3)
        self.fc1, self.fc2 = nn.Linear(16 * 2 * 2, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        out: Tensor = self.fc2(functional.relu(self.fc1(x.reshape(-1, 16 * 2 * 2))))
        return out


class Dense(nn.Module):
    """Concatenates new features to its input (DenseNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(12, 4, 3, padding=1)
        self.transition = nn.Conv2d(16, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.one(x).relu()], 1)
        out: Tensor = self.transition(torch.cat([x, self.two(x).relu()], 1))
        return out


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.up(functional.silu(self.down(functional.adaptive_avg_pool2d(x, 1))))
        return x * scale.sigmoid()


class Shuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        x = self.conv(x).reshape(batch, 4, channels // 4, height, width)
        return x.transpose(1, 2).reshape(batch, channels, height, width)


class ConvNeXtBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)
        self.scale = nn.Parameter(torch.full((8,), 1e-2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(functional.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


class Branches(nn.Module):
    """Inception: parallel kernels of several sizes, one of them dilated."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [
                nn.Conv2d(8, 2, 1),
                nn.Conv2d(8, 2, 3, padding="same"),
                nn.Conv2d(8, 2, 3, padding="same", dilation=2),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 2, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], 1)


class ConditionalKernels(nn.Module):
    """CondConv: a mixture of kernels per image, computed as one grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.route = nn.Linear(8, 3)
        self.kernels = nn.Parameter(torch.randn(3, 8 * 8 * 9) / 9)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        mixed = self.route(x.mean((2, 3))).sigmoid() @ self.kernels
        y = functional.conv2d(
            x.reshape(1, batch * 8, height, width), mixed.reshape(batch * 8, 8, 3, 3), padding=1, groups=batch
        )
        return y.reshape(batch, 8, height, width)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(8, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.middle(self.down(x).relu()).relu())
        out: Tensor = self.out(torch.cat([x, y], 1))
        return out


class SpatialTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pose = nn.Linear(8, 6)
        nn.init.zeros_(self.pose.weight)
        with torch.no_grad():
            self.pose.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x: Tensor) -> Tensor:
        pose = self.pose(x.mean((2, 3))).reshape(-1, 2, 3)
        grid = functional.affine_grid(pose, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, align_corners=False)


class CBAM(nn.Module):
    """Attention to channels, then to positions (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8))
        self.positions = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.channels(x.mean((2, 3))) + self.channels(x.amax((2, 3)))
        x = x * scale.sigmoid()[:, :, None, None]
        positions = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * self.positions(positions).sigmoid()


class StraightThrough(nn.Module):
    """One-bit weights with a straight-through gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        binary = self.weight + (self.weight.sign() - self.weight).detach()
        return functional.conv2d(x, binary, padding=1)


class HyperNetwork(nn.Module):
    """A linear layer computes the weights of the last layer for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Linear(8, 8 * 4)

    def forward(self, x: Tensor) -> Tensor:
        features = x.mean((2, 3))
        weights = self.weights(features).reshape(-1, 8, 4)
        return torch.bmm(features[:, None], weights)[:, 0]


def convolutional() -> dict[str, tuple[nn.Module, Counts]]:
    """Return name -> a network and its costs."""
    half, quarter = 64, 16  # positions at 8 x 8 and 4 x 4
    conv3 = conv(8, 8, 3, half)
    return {
        "lenet": (LeNet(), total(conv(3, 6, 5, 144), conv(6, 16, 3, 16), linear(64, 12), linear(12, 4))),
        "vgg": (
            Pooled(stem(), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            total(STEM, conv3, HEAD),
        ),
        "resnet": (
            Pooled(
                stem(),
                Residual(
                    nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1)
                ),
            ),
            total(STEM, conv(8, 8, 3, half, bias=False), norm(8), conv3, HEAD),
        ),
        "resnext": (
            Pooled(
                stem(), Residual(nn.Conv2d(8, 16, 1), nn.Conv2d(16, 16, 3, 1, 1, groups=4), nn.Conv2d(16, 8, 1))
            ),
            total(STEM, conv(8, 16, 1, half), conv(16, 16, 3, half, groups=4), conv(16, 8, 1, half), HEAD),
        ),
        "densenet": (
            Pooled(stem(), Dense()),
            total(STEM, conv(8, 4, 3, half), conv(12, 4, 3, half), conv(16, 8, 1, half), HEAD),
        ),
        "mobilenet_v1": (
            Pooled(stem(), nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.ReLU6(), nn.Conv2d(8, 8, 1), nn.ReLU6()),
            total(STEM, conv(8, 8, 3, quarter, groups=8), conv(8, 8, 1, quarter), HEAD),
        ),
        "mobilenet_v3": (
            Pooled(
                stem(),
                Residual(
                    nn.Conv2d(8, 16, 1),
                    nn.BatchNorm2d(16),
                    nn.Hardswish(),
                    nn.Conv2d(16, 16, 5, 1, 2, groups=16),
                    nn.Hardsigmoid(),
                    nn.Conv2d(16, 8, 1),
                    SqueezeExcite(),
                ),
            ),
            total(
                STEM,
                conv(8, 16, 1, half),
                norm(16),
                conv(16, 16, 5, half, groups=16),
                conv(16, 8, 1, half),
                conv(8, 2, 1, 1),
                conv(2, 8, 1, 1),
                HEAD,
            ),
        ),
        "shufflenet": (Pooled(stem(), Shuffle()), total(STEM, conv(8, 8, 1, half, groups=4), HEAD)),
        "convnext": (
            Pooled(stem(), ConvNeXtBlock()),
            total(
                STEM,
                conv(8, 8, 7, half, groups=8),
                norm(8),
                linear(8, 32, half),
                linear(32, 8, half),
                params(8),
                HEAD,
            ),
        ),
        "convmixer": (
            Pooled(
                nn.Conv2d(3, 8, 4, 4),
                Residual(nn.Conv2d(8, 8, 3, groups=8, padding="same"), nn.GELU(), nn.BatchNorm2d(8)),
                nn.Conv2d(8, 8, 1),
            ),
            total(conv(3, 8, 4, quarter), conv(8, 8, 3, quarter, groups=8), norm(8), conv(8, 8, 1, quarter), HEAD),
        ),
        "inception": (
            Pooled(stem(), Branches()),
            total(STEM, conv(8, 2, 1, half), conv(8, 2, 3, half), conv(8, 2, 3, half), conv(8, 2, 1, half), HEAD),
        ),
        "condconv": (
            Pooled(stem(), ConditionalKernels()),
            total(STEM, linear(8, 3), Counts(3 * 576, 3 * 576), macs(576 * half), HEAD),
        ),
        "unet": (
            Pooled(stem(), UNet()),
            total(
                STEM,
                conv(8, 16, 3, quarter),
                conv(16, 16, 3, quarter),
                Counts(16 * 8 * 4 + 8, 16 * 16 * 8 * 4),
                conv(16, 8, 3, half),
                HEAD,
            ),
        ),
        # The grid is the product of (x, y, 1) at 64 positions and the pose, 3 x 2.
        "spatial_transformer": (
            Pooled(stem(), SpatialTransformer()),
            total(STEM, linear(8, 6), macs(half * 3 * 2), HEAD),
        ),
        "cbam": (
            Pooled(stem(), CBAM()),
            total(STEM, linear(8, 2, 2), linear(2, 8, 2), conv(2, 1, 7, half), HEAD),
        ),
        "norms": (
            Pooled(
                stem(),
                nn.GroupNorm(2, 8),
                nn.InstanceNorm2d(8, affine=True),
                nn.LocalResponseNorm(2),
                nn.PReLU(8),
                nn.Dropout2d(0.2),
                nn.Softplus(),
                nn.AvgPool2d(2),
            ),
            total(STEM, norm(8), norm(8), params(8), HEAD),
        ),
        "pixel_shuffle": (
            Pooled(
                nn.PixelUnshuffle(4),
                nn.Conv2d(48, 32, 1),
                nn.PixelShuffle(2),
                nn.Mish(),
                nn.Upsample(scale_factor=2),
            ),
            total(conv(48, 32, 1, quarter), HEAD),
        ),
        "one_bit": (Pooled(stem(), StraightThrough()), total(STEM, conv(8, 8, 3, half, bias=False), HEAD)),
        "hypernetwork": (nn.Sequential(stem(), HyperNetwork()), total(STEM, linear(8, 32), macs(8 * 4))),
    }
