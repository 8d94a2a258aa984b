"""Batched augmentations on the device, with independent random parameters for each image.

All functions map uint8 images, (B, C, H, W), to uint8 images of the same shape; ``mixup`` and ``cutmix`` also map
labels to targets. They draw from ``generator`` (on
the images' device) or from torch's global generator, which the harness seeds before each step. torchvision's v2
transforms draw once per batch, so that 128 images share one rotation; here each image has its own. The host never
waits for the device, except in rotations, which copy a constant to it.

Each augmentation draws parameters, then applies a deterministic function that equals torchvision's on one image.
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
from bench.augment._mixing import cutmix, mixup
from bench.augment._policies import rand_augment, trivial_augment
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
    "cutmix",
    "erase",
    "flip",
    "gaussian_blur",
    "inverse_affine",
    "mixup",
    "rand_augment",
    "random_crop",
    "random_erasing",
    "random_flip",
    "random_resized_crop",
    "random_rotation",
    "resized_crop",
    "rotate",
    "trivial_augment",
]
