"""``python -m benchmarks.papers_step METHOD``: a training step of ``se_dsconv`` without this harness.

``pictures-N`` is the usual code of a paper: a DataLoader with N worker processes, PIL transforms image by image,
float32 in torch's default memory format and number of threads, and a loss that is read in every step. ``batched``
takes the images from memory and augments them as a batch; ``channels-last`` additionally uses this memory format.
The protocol on stdin and stdout is that of ``bench.job.speed``.
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
from bench.job.speed import answer, reserve_stdout
from benchmarks.specs import DEVICE

SUBMISSION = Path(__file__).resolve().parents[1] / "submissions" / "se_dsconv"
IMAGES, BATCH = 50_000, 128


class Pictures(Dataset[tuple[Tensor, int]]):
    """Random images in memory, in the format of torchvision's CIFAR100."""

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


def batches(method: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of augmented images in [0, 1], (B, 3, 32, 32) float32, and labels, (B,) int64."""
    pictures = Pictures()
    if method.startswith("pictures-"):
        loader = DataLoader(pictures, BATCH, shuffle=True, num_workers=int(method.removeprefix("pictures-")))
        while True:
            yield from loader
    images, labels = (
        torch.from_numpy(pictures.images).permute(0, 3, 1, 2).contiguous().to(DEVICE),
        torch.from_numpy(pictures.labels).to(DEVICE),
    )
    layout = {"batched": torch.contiguous_format, "channels-last": torch.channels_last}[method]
    while True:
        for indices in torch.randperm(IMAGES).split(BATCH):
            augmented = random_flip(images[indices])
            augmented = random_rotation(random_resized_crop(augmented, scale=(0.8, 1.0)), degrees=15)
            yield augmented.to(torch.float32, memory_format=layout).div_(255), labels[indices]


def steps(method: str) -> Iterator[float]:
    """Take one training step per item, and yield its loss."""
    data = DataSpec(image_shape=(3, 32, 32), num_classes=100, channel_mean=(0.5,) * 3, channel_std=(0.25,) * 3)
    network = load_submission(SUBMISSION, "classification", {}).build_model(data).train().to(DEVICE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1.5e-3)
    for images, labels in batches(method):
        # The submission's layers except the first one, which normalises bytes.
        logits = network.head(network.blocks(network.stem(images.to(DEVICE))).mean((2, 3)))
        loss = F.cross_entropy(logits, labels.to(DEVICE))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


if __name__ == "__main__":
    losses = steps(sys.argv[1])
    answer({"train": lambda: next(losses)}, DEVICE, reserve_stdout())
