"""Inception features of images: torch-fidelity's network, with either of the two resizes that FID is made with."""

import io
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from bench.measure import weights

Resize = Literal["legacy", "clean"]
SIZE = 299
FEATURES = 2048
CLASSES = 1008  # of the head, which is not among the weights


class Inception(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """Images to 2048 features each, in eval mode.

    ``legacy`` resizes as TensorFlow 1 did (bilinear, pixels at their corners): the FID of Heusel et al. 2017
    (arXiv 1706.08500) and of torch-fidelity. ``clean`` resizes as Pillow does (bicubic): clean-fid's (Parmar et
    al. 2022, arXiv 2104.11222). pytorch-fid's resize, torch's bilinear one, is neither. The network and its
    weights are the same.

    Raises:
        DataError: If the weights are absent or damaged.
    """

    def __init__(self, resize: Resize = "legacy", device: str = "cpu") -> None:
        tensors = {name: torch.from_numpy(array) for name, array in weights.read(weights.INCEPTION).items()}
        # The head is absent, so logits would be wrong: they are never asked for.
        tensors |= {"fc.weight": torch.zeros(CLASSES, FEATURES), "fc.bias": torch.zeros(CLASSES)}
        file = io.BytesIO()  # the base class reads a file, without checking it
        torch.save(tensors, file)
        file.seek(0)
        super().__init__("inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=file)
        self.resize = resize
        # 1.6 times faster on a CPU; features move by 2e-6 of their norm.
        self.to(device=device, memory_format=torch.channels_last)

    @property
    def identity(self) -> str:
        """What features depend on besides the images; caches are keyed by it."""
        return f"{weights.INCEPTION.name} {weights.INCEPTION.digest} {FEATURES} {self.resize}"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.Conv2d_1a_3x3.conv.weight.device
        return device

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of (B, 1 or 3, H, W) uint8 images on any device: (B, 2048) float32 on the network's.

        Raises:
            ValueError: If ``images`` is something else.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != torch.uint8:
            raise ValueError(
                f"`images` is {tuple(images.shape)} {images.dtype}; it must be (B, 1 or 3, H, W) uint8"
            )
        x = images.to(self.device).expand(-1, 3, -1, -1).float()
        if self.resize == "legacy":
            x = interpolate_bilinear_2d_like_tensorflow1x(x, size=(SIZE, SIZE), align_corners=False)
        else:
            x = bicubic_like_pillow(x)
        x = ((x - 128) / 128).contiguous(memory_format=torch.channels_last)
        for layer in LAYERS:
            x = self.get_submodule(layer)(x)
        return x.flatten(1)


LAYERS = (
    *(
        "Conv2d_1a_3x3",
        "Conv2d_2a_3x3",
        "Conv2d_2b_3x3",
        "MaxPool_1",
        "Conv2d_3b_1x1",
        "Conv2d_4a_3x3",
        "MaxPool_2",
    ),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)


def bicubic_like_pillow(images: Tensor) -> Tensor:
    """(B, C, H, W) float32 in [0, 255] at 299×299, as Pillow resizes float images, clipped as clean-fid does."""
    size = (SIZE, SIZE)
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)
