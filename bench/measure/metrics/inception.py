"""Inception features of images: torch-fidelity's network with one of the two common resizes for FID."""

import io
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from bench.measure.metrics import weights

Resize = Literal["legacy", "clean"]
SIZE = 299
FEATURES = 2048
CLASSES = 1008  # of the classifier head, which the weights do not contain


class Inception(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The Inception network of FID, in eval mode: images to 2048 features each.

    ``legacy`` resizes like TensorFlow 1 (bilinear, pixel positions at corners): the FID of Heusel et al. 2017
    (arXiv 1706.08500) and of torch-fidelity. ``clean`` resizes like Pillow (bicubic): clean-fid (Parmar et al.
    2022, arXiv 2104.11222). pytorch-fid uses a third resize, torch's bilinear one. Network and weights
    are the same in all.

    Raises:
        DataError: If the weights are absent or damaged.
    """

    def __init__(self, resize: Resize = "legacy", device: str = "cpu") -> None:
        tensors = {name: torch.from_numpy(array) for name, array in weights.read(weights.INCEPTION).items()}
        # A placeholder for the absent head: its logits would be wrong, but are never used.
        tensors |= {"fc.weight": torch.zeros(CLASSES, FEATURES), "fc.bias": torch.zeros(CLASSES)}
        file = io.BytesIO()  # the base class loads a file, without a check
        torch.save(tensors, file)
        file.seek(0)
        super().__init__("inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=file)
        self.resize = resize
        # 1.6 times faster on a CPU; changes features by 2e-6 of their norm.
        self.to(device=device, memory_format=torch.channels_last)

    @property
    def identity(self) -> str:
        """A string for everything besides the images that features depend on; the key of caches."""
        return f"{weights.INCEPTION.name} {weights.INCEPTION.digest} {FEATURES} {self.resize}"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        device: torch.device = self.Conv2d_1a_3x3.conv.weight.device
        return device

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute the features, (B, 2048) float32 on the network's device.

        Args:
            images: (B, 1 or 3, H, W) uint8, on any device.

        Raises:
            ValueError: If ``images`` has another shape or dtype.
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
    """Resize (B, C, H, W) float32 in [0, 255] to 299×299 like Pillow for float images; clip like clean-fid."""
    size = (SIZE, SIZE)
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)
