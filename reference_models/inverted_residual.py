"""Inverted residual block (Sandler et al. 2018, arXiv 1801.04381, section 3.3), with MobileNetV3's options."""

from collections.abc import Callable

from torch import Tensor, nn

from reference_models.squeeze_excitation import SqueezeExcitation

Activation = Callable[[], nn.Module]


class InvertedResidual(nn.Module):
    """Expand by 1×1, filter each channel by 3×3, project by 1×1; (B, C, H, W) -> (B, out, H/stride, W/stride).

    Each convolution is bias-free and followed by batch normalisation, the first two by the activation too; the
    projection is linear. The input is added where stride is 1 and widths are equal.
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
        """Layers for the given widths.

        Args:
            in_channels: C.
            out_channels: Channels of the result.
            expansion: t; the hidden layers have ``t C`` channels. With 1 there is no expanding convolution.
            stride: Of the depthwise convolution.
            activation: Makes the two activations.
            squeeze_reduction: Ratio of a bias-free squeeze-and-excitation before the projection, which Howard
                et al. 2019 (arXiv 1905.02244, section 5.3) added; none by default.
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
