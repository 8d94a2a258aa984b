"""``python -m benchmarks.papers_step WAY``: a training step of ``se_dsconv`` without this harness.

``pictures-N`` is what its paper's authors would write: a DataLoader with N worker processes, PIL transforms on one
image after another, float32 in torch's own memory order and with its own number of threads, the loss read in every
step. ``batched`` takes the images from memory and augments them together; ``channels-last`` orders them so too. It
answers as ``bench.job.speed`` does.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.augment import random_flip, random_resized_crop, random_rotation
from bench.contract.submission import DataSpec
from bench.job.loading import load_submission
from bench.job.speed import answer, own_output
from benchmarks.specs import DEVICE

SUBMISSION = Path(__file__).resolve().parents[1] / "submissions" / "se_dsconv"
IMAGES, BATCH = 50_000, 128


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images in memory, as torchvision's CIFAR100 holds them."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.images = generator.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
        self.labels = generator.integers(0, 100, IMAGES)
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomResizedCrop(32, scale=(0.8, 1.0)),
                transforms.RandomRotation(15),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def batches(way: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented images in [0, 1], and labels."""
    pictures = Pictures()
    if way.startswith("pictures-"):
        loader = DataLoader(pictures, BATCH, shuffle=True, num_workers=int(way.removeprefix("pictures-")))
        while True:
            yield from loader
    images, labels = (
        torch.from_numpy(pictures.images).permute(0, 3, 1, 2).contiguous().to(DEVICE),
        torch.from_numpy(pictures.labels).to(DEVICE),
    )
    layout = {"batched": torch.contiguous_format, "channels-last": torch.channels_last}[way]
    while True:
        for indices in torch.randperm(IMAGES).split(BATCH):
            augmented = random_flip(images[indices])
            augmented = random_rotation(random_resized_crop(augmented, scale=(0.8, 1.0)), degrees=15)
            yield augmented.to(torch.float32, memory_format=layout).div_(255), labels[indices]


def steps(way: str) -> Iterator[float]:
    """Takes a step each time that it is asked for the next loss."""
    data = DataSpec(image_shape=(3, 32, 32), num_classes=100, channel_mean=(0.5,) * 3, channel_std=(0.25,) * 3)
    network = load_submission(SUBMISSION, "classification", {}).build_model(data).train().to(DEVICE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1.5e-3)
    for images, labels in batches(way):
        # The submission's own layers, without its first one, which takes bytes.
        logits = network.head(network.blocks(network.stem(images.to(DEVICE))).mean((2, 3)))
        loss = F.cross_entropy(logits, labels.to(DEVICE))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


if __name__ == "__main__":
    losses = steps(sys.argv[1])
    answer({"train": lambda: next(losses)}, DEVICE, own_output())
