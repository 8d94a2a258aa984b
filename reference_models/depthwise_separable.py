"""Depthwise-separable convolution (Howard et al. 2017, arXiv 1704.04861, section 3.1)."""

from torch import Tensor, nn


class DepthwiseSeparableConv2d(nn.Module):
    """A depthwise k×k, then a pointwise 1×1 convolution; (B, C, H, W) -> (B, out, H/stride, W/stride).

    There is no layer between the two, unlike in MobileNet, which has a normalisation and an activation there.
    Without biases it has ``k² C + C·out`` parameters; a full convolution has ``k² C·out``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=in_channels,
            bias=bias,
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise(x))
        return out
