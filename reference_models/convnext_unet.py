"""A small conditional UNet of depthwise-separable ConvNeXt blocks, for denoising diffusion on 32×32 images.

The blocks follow Liu et al. 2022 (arXiv 2201.03545) in the variant of an annotated DDPM tutorial of 2022, with
both 3×3 convolutions replaced by depthwise-separable ones. The UNet follows Ronneberger et al. 2015 (arXiv
1505.04597).
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_models.depthwise_separable import DepthwiseSeparableConv2d


def sinusoidal_embedding(times: Tensor, size: int) -> Tensor:
    """Return sines, then cosines, of ``times`` at ``size/2`` frequencies from 1 to 1/10,000; (B, size) float32.

    Vaswani et al. 2017 (arXiv 1706.03762, section 3.5), in the order of Ho et al. 2020 for time steps, (B,).
    """
    half = size // 2
    steps = torch.arange(half, device=times.device, dtype=torch.float32)
    angles = times[:, None].float() * torch.exp(steps * (-math.log(10_000) / (half - 1)))
    return torch.cat([angles.sin(), angles.cos()], 1)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7×7 and two depthwise-separable 3×3 convolutions; the hidden width is twice ``out_channels``.

    (B, C, H, W), and a time vector (B, T) if ``time_width`` is not None -> (B, out, H, W). A projection of the
    time vector is added per channel after the 7×7 convolution. Normalisation is over all channels and pixels of
    an image (one group).
    """

    def __init__(self, in_channels: int, out_channels: int, *, time_width: int | None) -> None:
        super().__init__()
        hidden = 2 * out_channels
        self.time = nn.Sequential(nn.GELU(), nn.Linear(time_width, in_channels)) if time_width else None
        self.depthwise = nn.Conv2d(in_channels, in_channels, 7, padding=3, groups=in_channels)
        self.layers = nn.Sequential(
            nn.GroupNorm(1, in_channels),
            DepthwiseSeparableConv2d(in_channels, hidden, bias=True),
            nn.GELU(),
            nn.GroupNorm(1, hidden),
            DepthwiseSeparableConv2d(hidden, out_channels, bias=True),
        )
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        out = self.depthwise(x)
        if self.time is not None:
            out = out + self.time(time)[:, :, None, None]
        result: Tensor = self.layers(out) + self.shortcut(x)
        return result


class SelfAttention2d(nn.Module):
    """Residual self-attention over all pixels of the normalised input; (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, *, heads: int = 4, head_width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * heads * head_width, 1, bias=False)
        self.to_out = nn.Conv2d(heads * head_width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        # (B, 3 heads d, H, W) -> three tensors (B, heads, H W, d)
        query, key, value = self.to_qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1)).mT.unbind(1)
        attended = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = x + self.to_out(attended.mT.flatten(1, 2).unflatten(2, (height, width)))
        return out


class _Stage(nn.Module):
    """Two blocks at the same resolution."""

    def __init__(self, in_channels: int, out_channels: int, time_width: int) -> None:
        super().__init__()
        self.first = ConvNeXtBlock(in_channels, out_channels, time_width=time_width)
        self.second = ConvNeXtBlock(out_channels, out_channels, time_width=time_width)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x, time), time)
        return out


class ConvNeXtUNet(nn.Module):
    """A UNet from noised images, time steps and optional labels to predicted noise.

    It has three resolutions, and 960,223 parameters with the default arguments. The middle is one block and one
    attention layer. As in the tutorial, the features of the highest resolution are not used in the upward path.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        num_classes: int = 100,
        stem: int = 20,
        widths: tuple[int, int, int] = (32, 64, 128),
        embedding: int = 32,
        time_width: int = 256,
    ) -> None:
        """Create the layers.

        Args:
            channels: Channels of the image.
            num_classes: Rows of the label table.
            stem: Channels of the first convolution.
            widths: Channels at full, half and quarter resolution.
            embedding: Length of the sinusoidal embedding of a time step, and of the embedding of a label.
            time_width: Length of the time vector passed to the blocks.
        """
        super().__init__()
        self.embedding = embedding
        self.labels = nn.Embedding(num_classes, embedding)
        self.time = nn.Sequential(nn.Linear(embedding, time_width), nn.GELU(), nn.Linear(time_width, time_width))
        self.stem = nn.Conv2d(channels, stem, 7, padding=3)
        self.down = nn.ModuleList(_Stage(a, b, time_width) for a, b in pairwise((stem, *widths)))
        self.downsample = nn.ModuleList(nn.Conv2d(width, width, 4, 2, 1) for width in widths[:-1])
        self.middle = ConvNeXtBlock(widths[-1], widths[-1], time_width=time_width)
        self.attention = SelfAttention2d(widths[-1])
        self.up = nn.ModuleList(_Stage(2 * b, a, time_width) for a, b in reversed(list(pairwise(widths))))
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(width, width, 4, 2, 1) for width in widths[-2::-1])
        self.final = ConvNeXtBlock(widths[0], widths[0], time_width=None)
        self.head = nn.Conv2d(widths[0], channels, 1)

    def forward(
        self, x: Tensor, times: Tensor, labels: Tensor | None = None, kept: Tensor | None = None
    ) -> Tensor:
        """Predict the noise in ``x``.

        Args:
            x: (B, C, H, W) float32; H and W are multiples of 4.
            times: (B,) int64 time steps.
            labels: (B,) int64; None for an unconditional prediction.
            kept: (B,) bool; labels with False are ignored. None uses all labels.

        Returns:
            (B, C, H, W) float32.
        """
        embedded = sinusoidal_embedding(times, self.embedding)
        if labels is not None:
            of_label = self.labels(labels)
            embedded = embedded + (of_label if kept is None else of_label * kept[:, None])
        time = self.time(embedded)
        x = self.stem(x)
        skips = []
        for stage, sample in zip(self.down, [*self.downsample, nn.Identity()], strict=True):
            x = stage(x, time)
            skips.append(x)
            x = sample(x)
        x = self.attention(self.middle(x, time))
        for stage, sample in zip(self.up, self.upsample, strict=True):
            x = sample(stage(torch.cat([x, skips.pop()], 1), time))
        noise: Tensor = self.head(self.final(x))
        return noise
