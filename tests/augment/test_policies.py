"""RandAugment and TrivialAugment equal torchvision's, operation by operation."""

from typing import Any

import pytest
import torch
import torchvision.transforms as v1
from torch import Tensor
from torchvision.transforms.autoaugment import _apply_op

from bench import augment
from bench.augment import _policies
from bench.augment._policies import POLICY, SIGNED, apply_policy
from tests.augment.test_against_torchvision import B, pictures


def theirs(images: Tensor, space: dict[str, tuple[Tensor, bool]], name: str, level: int, sign: int) -> Tensor:
    magnitudes, signed = space[name]
    value = float(magnitudes[level]) if magnitudes.ndim else 0.0
    value *= sign if signed else 1
    nearest = v1.InterpolationMode.NEAREST
    return torch.stack([_apply_op(x, name, value, interpolation=nearest, fill=None) for x in images])


def fix_draws(monkeypatch: pytest.MonkeyPatch, name: str, sign: int, level: int) -> None:
    """Fix the drawn operation, sign and level (TrivialAugment) of every image."""

    def integers(limit: Tensor, generator: Any) -> Tensor:
        return torch.full_like(limit, POLICY.index(name) if int(limit[0]) == len(POLICY) else level)

    monkeypatch.setattr(_policies, "integers_below", integers)
    monkeypatch.setattr(_policies, "uniform", lambda images, *_: torch.full((len(images),), 0.25 * (2 - sign)))


@pytest.mark.parametrize("size", [32, 28])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", POLICY)
@pytest.mark.parametrize("level", [0, 9, 30])
def test_rand_augment_equals_torchvision(
    monkeypatch: pytest.MonkeyPatch, name: str, level: int, sign: int, size: int
) -> None:
    images = pictures(3, size)
    space = v1.RandAugment(num_ops=1, magnitude=level)._augmentation_space(31, (size, size))
    fix_draws(monkeypatch, name, sign, level)
    ours = augment.rand_augment(images, num_ops=1, magnitude=level)
    compare(ours, theirs(images, space, name, level, sign), name)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", POLICY)
@pytest.mark.parametrize("level", [0, 7, 30])
def test_trivial_augment_equals_torchvision(
    monkeypatch: pytest.MonkeyPatch, name: str, level: int, sign: int
) -> None:
    images = pictures(3, 32)
    space = v1.TrivialAugmentWide()._augmentation_space(31)
    fix_draws(monkeypatch, name, sign, level)
    compare(augment.trivial_augment(images), theirs(images, space, name, level, sign), name)


def compare(ours: Tensor, expected: Tensor, name: str) -> None:
    difference = (ours.int() - expected.int()).abs()
    if name in ("ShearX", "ShearY", "Rotate"):
        # Single against double precision: a pixel halfway between two source pixels may take the other one.
        assert (difference > 0).float().mean() < 4e-3
    else:
        # A factor is a float32 here and a double in torchvision, which can round down to the level below.
        # Sharpness keeps the value of flat areas.
        assert difference.max() <= (name in ("Color", "Contrast", "Brightness", "Sharpness"))


def test_operations_are_those_of_torchvision() -> None:
    for space in (
        v1.RandAugment()._augmentation_space(31, (32, 32)),
        v1.TrivialAugmentWide()._augmentation_space(31),
    ):
        assert tuple(space) == POLICY
        assert tuple(name for name, (_, signed) in space.items() if signed) == SIGNED


def test_batch_equals_its_images_one_by_one() -> None:
    images = pictures(3, 32)
    operations = torch.arange(B) % len(POLICY)
    magnitude = torch.linspace(-0.9, 0.9, B)
    magnitude[operations == POLICY.index("Posterize")] = 5.0
    magnitude[operations == POLICY.index("Solarize")] = 128.0
    together = apply_policy(images, operations, magnitude)
    alone = [apply_policy(images[i : i + 1], operations[i : i + 1], magnitude[i : i + 1])[0] for i in range(B)]
    assert torch.equal(together, torch.stack(alone))


def test_operations_are_drawn_uniformly(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []
    monkeypatch.setattr(
        _policies, "apply_policy", lambda images, operations, magnitude: drawn.append(operations) or images
    )
    augment.rand_augment(torch.zeros(7000, 3, 1, 1, dtype=torch.uint8), generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(torch.cat(drawn), minlength=len(POLICY)).float()
    assert len(drawn) == 2 and ((counts - 1000).square() / 1000).sum() < 34.5  # chi-square, 13 degrees, 0.1 %
