"""DCGAN (Radford et al. 2015, arXiv 1511.06434), 4×4 kernels: three widths for 32×32 images, four for 64×64."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class DCGANGenerator(nn.Module):
    """A generator of transposed convolutions: (B, latent, 1, 1) noise -> (B, channels, S, S) in [-1, 1]."""

    def __init__(
        self,
        latent: int = 100,
        widths: Sequence[int] = (256, 128, 64),
        *,
        channels: int = 3,
        bias: bool = False,
    ) -> None:
        """Create the layers.

        Args:
            latent: Length of the noise vector.
            widths: Channels at 4×4, 8×8, 16×16 and so on; a last layer doubles the size to S×S.
            channels: Channels of the image.
            bias: Whether the convolutions have biases; before batch normalisation they only add parameters.
        """
        super().__init__()
        stages: list[nn.Module] = [*_up(latent, widths[0], stride=1, padding=0, bias=bias)]
        for width_in, width_out in pairwise(widths):
            stages += _up(width_in, width_out, stride=2, padding=1, bias=bias)
        stages += [nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1, bias=bias), nn.Tanh()]
        self.stages = nn.Sequential(*stages)

    def forward(self, noise: Tensor) -> Tensor:
        images: Tensor = self.stages(noise)
        return images


class DCGANDiscriminator(nn.Module):
    """A discriminator: (B, channels, S, S) images -> (B,) probabilities in (0, 1) of being real."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256),
        *,
        channels: int = 3,
        bias: bool = False,
        norm_first: bool = False,
    ) -> None:
        """Create the layers.

        Args:
            widths: Channels at S/2, S/4 and so on down to 4×4.
            channels: Channels of the image.
            bias: Whether the convolutions have biases.
            norm_first: Whether the first layer has batch normalisation; in the paper it has none (section 3).
        """
        super().__init__()
        stages: list[nn.Module] = _down(channels, widths[0], norm=norm_first, bias=bias)
        for width_in, width_out in pairwise(widths):
            stages += _down(width_in, width_out, norm=True, bias=bias)
        stages += [nn.Conv2d(widths[-1], 1, 4, bias=bias), nn.Flatten(0), nn.Sigmoid()]
        self.stages = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = self.stages(images)
        return probabilities


def _up(width_in: int, width_out: int, *, stride: int, padding: int, bias: bool) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(width_in, width_out, 4, stride=stride, padding=padding, bias=bias)
    return [convolution, nn.BatchNorm2d(width_out), nn.ReLU()]


def _down(width_in: int, width_out: int, *, norm: bool, bias: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(width_in, width_out, 4, stride=2, padding=1, bias=bias)
    return [convolution, *([nn.BatchNorm2d(width_out)] if norm else []), nn.LeakyReLU(0.2)]


def dcgan_init_(network: nn.Module) -> nn.Module:
    """Initialise the network in place as in section 3 of the paper, and return it.

    Convolution weights are drawn from N(0, 0.02²), batch normalisation weights from N(1, 0.02²), with biases 0, as
    in the authors' code and PyTorch's example. Convolution biases keep PyTorch's default.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return network
