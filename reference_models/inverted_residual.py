"""Inverted residual block (Sandler et al. 2018, arXiv 1801.04381, section 3.3) with options of MobileNetV3."""

from collections.abc import Callable

from torch import Tensor, nn

from reference_models.squeeze_excitation import SqueezeExcitation

Activation = Callable[[], nn.Module]


class InvertedResidual(nn.Module):
    """An expanding 1×1, a depthwise 3×3 and a projecting 1×1 convolution.

    (B, C, H, W) -> (B, out, H/stride, W/stride). Convolutions have no biases and are followed by batch
    normalisation, and the first two also by the activation; the projection is linear. The input is added if the
    stride is 1 and the widths are equal.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int = 1,
        activation: Activation = nn.ReLU6,
        squeeze_reduction: int | None = None,
    ) -> None:
        """Create the layers.

        Args:
            in_channels: C.
            out_channels: Channels of the result.
            expansion: t; hidden layers have ``t C`` channels. With 1, there is no expanding convolution.
            stride: Of the depthwise convolution.
            activation: Creates an activation module; called for each activation.
            squeeze_reduction: Reduction of a bias-free squeeze-and-excitation before the projection (Howard et al.
                2019, arXiv 1905.02244, section 5.3); None for no such layer.
        """
        super().__init__()
        hidden = expansion * in_channels
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(in_channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), activation()]
        depthwise = nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False)
        layers += [depthwise, nn.BatchNorm2d(hidden), activation()]
        if squeeze_reduction is not None:
            layers.append(SqueezeExcitation(hidden, reduction=squeeze_reduction, bias=False))
        layers += [nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.residual else out
