"""Batched augmentations on the device, with an independent draw for each image.

All take and give uint8 images, (B, C, H, W), and draw from ``generator`` (on the images' device), or
from torch's global one, which the harness seeds before each step. torchvision's v2 transforms draw once for
a whole batch, which makes 128 images share one rotation; here every image has its own. Nothing waits for
the device.

Each is a draw of parameters followed by a deterministic function that equals torchvision's on one image.
"""

from bench.augment._augmix import augmix
from bench.augment._blur import blur, gaussian_blur
from bench.augment._color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    color_jitter,
)
from bench.augment._crop import crop_at, flip, random_crop, random_flip, random_resized_crop, resized_crop
from bench.augment._erasing import erase, random_erasing
from bench.augment._rotation import affine, inverse_affine, random_rotation, rotate

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "affine",
    "augmix",
    "blur",
    "color_jitter",
    "crop_at",
    "erase",
    "flip",
    "gaussian_blur",
    "inverse_affine",
    "random_crop",
    "random_erasing",
    "random_flip",
    "random_resized_crop",
    "random_rotation",
    "resized_crop",
    "rotate",
]
