"""Batched augmentations compared with torchvision's, image by image. One thread, 512 images."""

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from bench import augment
from benchmarks.specs import DEVICE
from benchmarks.versus import versus

BATCH = 512
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}


def crop_flip_rotation(images: Tensor) -> Tensor:
    images = augment.random_flip(augment.random_crop(images, padding=4))
    return augment.random_rotation(images, degrees=15)


CASES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[..., object], float | None]] = {
    "crop, flip and rotation": (
        crop_flip_rotation,
        v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), v2.RandomRotation(15)]),
        6,
    ),
    "colour jitter": (lambda images: augment.color_jitter(images, **JITTER), v2.ColorJitter(**JITTER), 20),
    "AugMix": (augment.augmix, v2.AugMix(), 5),
    "resized crop": (
        lambda images: augment.random_resized_crop(images, scale=(0.8, 1.0)),
        v2.RandomResizedCrop(32, scale=(0.8, 1.0)),
        None,
    ),
    "erasing": (augment.random_erasing, v2.RandomErasing(p=0.5), None),
    "blur": (lambda images: augment.gaussian_blur(images, kernel_size=3), v2.GaussianBlur(3), None),
}


@pytest.mark.parametrize("name", CASES)
def test_augmentation(benchmark: BenchmarkFixture, name: str) -> None:
    ours, transform, goal = CASES[name]
    images = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8)
    pictures = [to_pil_image(image) for image in images]

    def on_pictures() -> object:
        return [pil_to_tensor(transform(picture)) for picture in pictures]

    def on_tensors() -> object:
        return [transform(image) for image in images]

    theirs = {"torchvision, PIL images one by one": on_pictures, "torchvision, tensors one by one": on_tensors}
    if name == "erasing":  # torchvision does not implement it for PIL images
        del theirs["torchvision, PIL images one by one"]
    on_device = images.to(DEVICE)
    versus(benchmark, lambda: ours(on_device), theirs, what=f"{name}, {BATCH} images", goal=goal, gpu_goal=50)
