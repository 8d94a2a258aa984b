"""Each deterministic operation equals torchvision's on every image, edge cases included."""

import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.functional as F
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode

from bench import augment
from bench.augment import _operations
from bench.augment._color import BLENDS, jitter
from bench.augment._operations import ALL, adjust_sharpness, apply_operations

B = 40


def pictures(channels: int, size: int) -> Tensor:
    noise = torch.randint(0, 256, (B, channels, size, size), generator=torch.Generator().manual_seed(1))
    ramp = torch.linspace(0, 255, size).expand(B, channels, size, size)
    smooth = torch.arange(B).view(B, 1, 1, 1) % 2 == 0  # every other image is a ramp: noise hides off-by-one
    mixed = torch.where(smooth, ramp, noise).to(torch.uint8)
    mixed[0] = 255
    return mixed


@pytest.fixture(params=[(3, 32), (3, 28), (1, 32)], ids=["rgb32", "rgb28", "grey32"])
def images(request: pytest.FixtureRequest) -> Tensor:
    return pictures(*request.param)


@pytest.fixture(params=[32, 28], ids=["rgb32", "rgb28"])
def rgb(request: pytest.FixtureRequest) -> Tensor:
    return pictures(3, request.param)


def uniform(low: float, high: float) -> Tensor:
    return torch.rand(B, generator=torch.Generator().manual_seed(2)) * (high - low) + low


def integers(low: int, high: int) -> Tensor:
    return torch.randint(low, high, (B,), generator=torch.Generator().manual_seed(3))


def largest_difference(ours: Tensor, expected: list[Tensor]) -> int:
    assert ours.dtype == torch.uint8
    return int((ours.int() - torch.stack(expected).int()).abs().max())


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_crop_is_bit_identical(images: Tensor, mode: str) -> None:
    top, left = integers(0, 9), integers(0, 9).flip(0)
    size = images.shape[2]
    padded = [F.pad(x, [4] * 4, padding_mode="constant" if mode == "zero" else "reflect") for x in images]
    expected = [F.crop(x, int(t), int(w), size, size) for x, t, w in zip(padded, top, left, strict=True)]
    assert largest_difference(augment.crop_at(images, top, left, padding=4, mode=mode), expected) == 0


def test_flip_is_bit_identical(images: Tensor) -> None:
    chosen = integers(0, 2).bool()
    expected = [F.hflip(x) if c else x for x, c in zip(images, chosen, strict=True)]
    assert largest_difference(augment.flip(images, chosen), expected) == 0


@pytest.mark.parametrize(("interpolation", "tolerance"), [("nearest", 0), ("bilinear", 0)])
def test_rotation_is_bit_identical_but_for_border_pixels(
    images: Tensor, interpolation: str, tolerance: int
) -> None:
    degrees = uniform(-180, 180)
    degrees[0], degrees[1] = 0.0, 90.0
    expected = [
        F.rotate(x, float(d), InterpolationMode(interpolation)) for x, d in zip(images, degrees, strict=True)
    ]
    ours = augment.rotate(images, degrees, interpolation=interpolation)  # type: ignore[arg-type]
    # torchvision computes the matrix in double precision and we in single, so a pixel that lies within 1e-6 of
    # the border between two pixels may be assigned to the other; at most one in ten thousand may.
    differing = (ours.int() - torch.stack(expected).int()).abs() > tolerance
    assert differing.float().mean() < 1e-4


def test_resized_crop_is_within_one_level(images: Tensor) -> None:
    size = images.shape[2]
    height, width = integers(8, size + 1), integers(8, size + 1).flip(0)
    height[0], width[0] = size, size
    top, left = (size - height) // 2, (size - width) // 3
    expected = [
        F.resized_crop(x, int(t), int(w), int(h), int(b), [size, size], antialias=True)
        for x, t, w, h, b in zip(images, top, left, height, width, strict=True)
    ]
    # torchvision interpolates bytes in fixed point and rounds twice.
    assert largest_difference(augment.resized_crop(images, top, left, height, width), expected) <= 1


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_adjustment_is_within_one_level(rgb: Tensor, name: str) -> None:
    factors = uniform(0, 2)
    factors[0], factors[1] = 0.0, 1.0
    expected = [getattr(F, f"adjust_{name}")(x, float(f)) for x, f in zip(rgb, factors, strict=True)]
    ours = getattr(augment, f"adjust_{name}")(rgb, factors)
    # A product on the edge between two levels is truncated either way.
    assert largest_difference(ours, expected) <= 1
    assert ((ours.int() - torch.stack(expected).int()) != 0).float().mean() < 1e-3


def test_hue_is_within_one_level(rgb: Tensor) -> None:
    turns = uniform(-0.5, 0.5)
    turns[0], turns[1] = 0.0, 0.5
    expected = [F.adjust_hue(x, float(t)) for x, t in zip(rgb, turns, strict=True)]
    assert largest_difference(augment.adjust_hue(rgb, turns), expected) <= 1


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_blur_is_within_one_level(images: Tensor, kernel_size: int) -> None:
    sigma = uniform(0.1, 2.0)
    expected = [F.gaussian_blur(x, [kernel_size] * 2, [float(s)] * 2) for x, s in zip(images, sigma, strict=True)]
    ours = augment.blur(images, sigma, kernel_size=kernel_size)
    assert largest_difference(ours, expected) <= 1
    assert ((ours.int() - torch.stack(expected).int()) != 0).float().mean() < 1e-3


def test_erasing_is_bit_identical(images: Tensor) -> None:
    height, width = integers(0, 12), integers(1, 12).flip(0)
    top, left = integers(0, 10), integers(0, 16).flip(0)
    expected = [
        F.erase(x, int(t), int(w), int(h), int(b), torch.tensor(7, dtype=torch.uint8))
        for x, t, w, h, b in zip(images, top, left, height, width, strict=True)
    ]
    assert largest_difference(augment.erase(images, top, left, height, width, value=7), expected) == 0


OPERATIONS = list(v1.AugMix()._augmentation_space(10, (32, 32)))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("level", [0, 2, 9])
def test_augmix_operation_is_within_one_level(rgb: Tensor, name: str, level: int) -> None:
    magnitudes, signed = v1.AugMix()._augmentation_space(10, tuple(rgb.shape[2:]))[name]
    magnitude = float(magnitudes[level]) if magnitudes.ndim else 0.0
    for sign in (1, -1) if signed else (1,):
        expected = [
            v1.autoaugment._apply_op(x, name, magnitude * sign, InterpolationMode.BILINEAR, None) for x in rgb
        ]
        chosen = torch.full((B,), ALL.index(name))
        ours = apply_operations(rgb, chosen, torch.full((B,), level), torch.full((B,), sign))
        # By one level at most, and seldom: values on the edge between two levels are rounded either way.
        # A sheared ramp and a blend with a factor of 1.2 have many of them.
        assert largest_difference(ours, expected) <= 1
        assert ((ours.int() - torch.stack(expected).int()) != 0).float().mean() < 0.12


def test_sharpening_does_not_change_a_flat_image() -> None:
    flat = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    for factor in torch.linspace(0.1, 1.9, 19):
        assert torch.equal(adjust_sharpness(flat, factor.expand(256)), flat)


@pytest.mark.parametrize(
    "names", [BLENDS, ("contrast",), ("brightness", "saturation"), ()], ids=["all", "one", "two", "hue alone"]
)
@pytest.mark.parametrize("hue", [True, False], ids=["with hue", "without hue"])
def test_jitter_applies_operations_in_the_order_of_each_image(
    rgb: Tensor, names: tuple[str, ...], hue: bool
) -> None:
    """Bit-identical to our single operations in sequence, which are compared with torchvision's above."""
    if not names and not hue:
        return
    operations = (*names, "hue") if hue else names
    amounts = torch.stack(
        [uniform(-0.3, 0.3) if name == "hue" else uniform(0.5, 1.5).roll(i) for i, name in enumerate(operations)],
        1,
    )
    generator = torch.Generator().manual_seed(5)
    order = torch.stack([torch.randperm(len(operations), generator=generator) for _ in range(B)])
    images = rgb.repeat(5, 1, 1, 1)  # more than are processed at a time
    ours = jitter(images, operations, amounts.repeat(5, 1), order.repeat(5, 1))
    assert torch.equal(ours, ours[:B].repeat(5, 1, 1, 1))
    for image, image_order, amount, result in zip(rgb, order.tolist(), amounts, ours, strict=False):
        expected = image[None]
        for index in image_order:
            adjust = getattr(augment, f"adjust_{operations[index]}")
            expected = adjust(expected, amount[index : index + 1])
        assert torch.equal(expected[0], result)


def draws() -> tuple[Tensor, Tensor, Tensor]:
    """Draw an operation or none, a level and a direction per image."""
    return integers(0, len(ALL) + 1), integers(0, 10).roll(3), integers(0, 2).roll(5) * 2 - 1


def test_batch_equals_its_images_one_by_one(rgb: Tensor) -> None:
    chosen, level, sign = draws()
    together = apply_operations(rgb, chosen, level, sign)
    for i in range(B):
        alone = apply_operations(rgb[i : i + 1], chosen[i : i + 1], level[i : i + 1], sign[i : i + 1])
        assert torch.equal(together[i], alone[0])
        if chosen[i] == len(ALL):
            assert torch.equal(together[i], rgb[i])


def test_computing_operations_for_all_images_gives_the_same(rgb: Tensor) -> None:
    """A GPU computes each operation for all images: to select images first would make the host wait."""
    chosen, level, sign = draws()
    selected = rgb.clone()
    for kind, names in _operations.KINDS:
        first = ALL.index(names[0])
        in_kind = (chosen >= first) & (chosen < first + len(names))
        selected = torch.where(in_kind[:, None, None, None], kind(rgb, chosen - first, level, sign), selected)
    assert torch.equal(selected, apply_operations(rgb, chosen, level, sign))
