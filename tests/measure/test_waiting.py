"""What makes a host wait for a GPU is seen on a CPU too, and none of our steps does it."""

from pathlib import Path

import pytest
import torch

from bench import augment
from bench.measure.waiting import WaitRecorder


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: float(x[0]), "_local_scalar_dense"),
        (lambda x: x[x > 0], "index"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: bool((x > 0).all()), "_local_scalar_dense"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x.unique(), "_unique2"),
    ],
)
def test_waiting_is_noted_with_its_line(called: object, name: str) -> None:
    assert callable(called)
    with WaitRecorder([Path(__file__).parent]) as recorder:
        called(torch.arange(-3.0, 4.0))
    assert recorder.waits, name
    assert any(wait.startswith("test_waiting.py, line ") for wait in recorder.waits)
    assert any(wait.endswith(f": {name}") for wait in recorder.waits), recorder.waits


def test_arithmetic_does_not_wait() -> None:
    parameter = torch.nn.Parameter(torch.ones(8))
    optimizer = torch.optim.AdamW([parameter])  # its step counter is on the CPU
    with WaitRecorder() as recorder:
        loss = torch.where(parameter > 0, parameter, 0.0).sum()
        loss.backward()
        optimizer.step()
        parameter.detach().argmax().to(torch.float64)
    assert recorder.waits == []


@pytest.mark.parametrize(
    "function",
    [
        augment.random_flip,
        lambda images: augment.random_crop(images, padding=4),
        lambda images: augment.random_crop(images, padding=4, mode="reflect"),
        augment.random_resized_crop,
        lambda images: augment.random_rotation(images, degrees=15),
        lambda images: augment.random_rotation(images, degrees=15, interpolation="bilinear"),
        lambda images: augment.color_jitter(images, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        augment.random_erasing,
        lambda images: augment.gaussian_blur(images, kernel_size=3),
        augment.augmix,
    ],
)
def test_no_augmentation_waits(function: object) -> None:
    assert callable(function)
    with WaitRecorder() as recorder:
        function(torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8))
    assert recorder.waits == []
