"""Random parameters: independent per image, of the right distribution, and from the given generator only."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
import torchvision.transforms as v1
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench import augment
from bench.augment import _augmix, _color
from bench.measure.cost.cheap_operators import is_view


def mixed(function: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., Tensor]:
    """Return the images of a function that mixes images and labels."""

    def images_of(images: Tensor, **arguments: Any) -> Tensor:
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        return function(images, labels, num_classes=4, **arguments)[0]

    return images_of


AUGMENTATIONS: dict[str, tuple[Callable[..., Tensor], dict[str, Any], dict[str, Any] | None]] = {
    # name: function, arguments, arguments that give the identity or None
    "crop": (augment.random_crop, {"padding": 4}, {"padding": 0}),
    "crop-reflect": (
        augment.random_crop,
        {"padding": 4, "mode": "reflect"},
        {"padding": 0, "mode": "reflect"},
    ),
    "flip": (augment.random_flip, {}, {"p": 0.0}),
    "resized-crop": (augment.random_resized_crop, {}, {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}),
    "rotation": (augment.random_rotation, {"degrees": 15.0}, {"degrees": 0.0}),
    "colour": (augment.color_jitter, {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}, {}),
    "blur": (augment.gaussian_blur, {"kernel_size": 3}, {"kernel_size": 1}),
    "erasing": (augment.random_erasing, {"p": 1.0}, {"p": 0.0}),
    "augmix": (augment.augmix, {}, None),
    "rand-augment": (augment.rand_augment, {}, None),
    "trivial-augment": (augment.trivial_augment, {}, None),
    "mixup": (mixed(augment.mixup), {}, None),
    "cutmix": (mixed(augment.cutmix), {}, None),
}
EVERY_AUGMENTATION = pytest.mark.parametrize("name", AUGMENTATIONS)


def noise(count: int = 64, *, same: bool = False) -> Tensor:
    images = torch.randint(
        0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return images[:1].repeat(count, 1, 1, 1) if same else images


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Mixing equal images has no effect.
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS.keys() - {"mixup", "cutmix"}))
def test_every_image_has_its_own_random_parameters(name: str) -> None:
    function, arguments, _ = AUGMENTATIONS[name]
    distinct = len(function(noise(same=True), **arguments, generator=seeded(0)).flatten(1).unique(dim=0))
    assert distinct == 2 if name == "flip" else distinct > 35


@EVERY_AUGMENTATION
def test_result_depends_only_on_the_given_generator(name: str) -> None:
    function, arguments, _ = AUGMENTATIONS[name]
    images = noise()
    torch.manual_seed(1)
    first = function(images, **arguments, generator=seeded(5))
    torch.manual_seed(2)
    assert torch.equal(first, function(images, **arguments, generator=seeded(5)))
    assert not torch.equal(first, function(images, **arguments, generator=seeded(6)))


@EVERY_AUGMENTATION
def test_global_generator_is_the_default(name: str) -> None:
    function, arguments, _ = AUGMENTATIONS[name]
    images = noise()
    torch.manual_seed(1)
    first = function(images, **arguments)
    torch.manual_seed(1)
    assert torch.equal(first, function(images, **arguments))


@EVERY_AUGMENTATION
def test_input_is_unchanged_and_output_has_its_shape_and_dtype(name: str) -> None:
    function, arguments, identity = AUGMENTATIONS[name]
    images = noise()
    before = images.clone()
    result = function(images, **arguments)
    assert torch.equal(images, before)
    assert result.shape == images.shape and result.dtype == torch.uint8
    if identity is not None:
        assert torch.equal(function(images, **identity), images)


@EVERY_AUGMENTATION
def test_single_image_is_accepted_and_invalid_images_are_refused(name: str) -> None:
    function, arguments, _ = AUGMENTATIONS[name]
    assert function(noise(1), **arguments).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="`images` is .*float32"):
        function(noise(2).float(), **arguments)
    with pytest.raises(ValueError, match="`images`"):
        function(noise(1)[0], **arguments)


@pytest.mark.parametrize(
    ("function", "arguments", "argument"),
    [
        (augment.random_flip, {"p": 1.5}, "p"),
        (augment.random_crop, {"padding": -1}, "padding"),
        (augment.random_crop, {"padding": 32, "mode": "reflect"}, "padding"),
        (augment.random_crop, {"padding": 2, "mode": "edge"}, "mode"),
        (augment.random_resized_crop, {"scale": (0.9, 0.1)}, "scale"),
        (augment.random_rotation, {"degrees": -1.0}, "degrees"),
        (augment.color_jitter, {"hue": 0.6}, "hue"),
        (augment.color_jitter, {"contrast": -0.1}, "contrast"),
        (augment.gaussian_blur, {"kernel_size": 4}, "kernel_size"),
        (augment.gaussian_blur, {"kernel_size": 3, "sigma": (0.0, 1.0)}, "sigma"),
        (augment.random_erasing, {"value": 300}, "value"),
        (augment.augmix, {"severity": 11}, "severity"),
        (augment.augmix, {"alpha": 0.0}, "alpha"),
        (augment.rand_augment, {"num_ops": 0}, "num_ops"),
        (augment.rand_augment, {"magnitude": 31}, "magnitude"),
        (augment.trivial_augment, {"num_magnitude_bins": 1}, "num_magnitude_bins"),
        (mixed(augment.mixup), {"alpha": 0.0}, "alpha"),
    ],
)
def test_invalid_argument_is_refused(
    function: Callable[..., Tensor], arguments: dict[str, Any], argument: str
) -> None:
    with pytest.raises(ValueError, match=f"`{argument}` is"):
        function(noise(2), **arguments)


def test_half_of_the_images_are_flipped() -> None:
    images = noise(4000, same=True)
    flipped = (augment.random_flip(images, generator=seeded(0)) != images).flatten(1).any(1).float().mean()
    assert abs(flipped - 0.5) < 4 * 0.5 / 4000**0.5


def test_crop_offsets_are_uniform() -> None:
    # The position of a single bright pixel shows the offset of each crop.
    images = torch.zeros(8100, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 16, 16] = 1
    position = augment.random_crop(images, padding=4, generator=seeded(0)).flatten(1).argmax(1)
    counts = torch.bincount(position, minlength=1024)
    used = counts[counts > 0]
    assert len(used) == 81  # 9 by 9 offsets
    chi_square = ((used - 100.0) ** 2 / 100).sum()
    assert chi_square < 80 + 4 * (2 * 80) ** 0.5


def crop_areas(scale: tuple[float, float]) -> tuple[float, float]:
    """Return mean and std of the share of the area that a resized crop keeps, from two coordinate ramps."""
    ramp = torch.linspace(0, 248, 32).round()
    images = torch.stack([ramp.expand(32, 32), ramp.view(32, 1).expand(32, 32)]).to(torch.uint8)
    crops = augment.random_resized_crop(images.repeat(4000, 1, 1, 1), scale=scale, generator=seeded(0)).float()
    # In a crop of w columns, a step of the ramp is w / 32 of 8 levels; measured over the inner columns.
    width = (crops[:, 0, 16, 28] - crops[:, 0, 16, 4]) / (24 * 8)
    height = (crops[:, 1, 28, 16] - crops[:, 1, 4, 16]) / (24 * 8)
    share = width * height
    return share.mean().item(), share.std().item()


def test_resized_crop_has_the_area_distribution_of_torchvision() -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, 32, 32)
    boxes = [v1.RandomResizedCrop.get_params(image, [0.2, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    expected = torch.tensor([h * w / 1024 for _, _, h, w in boxes])
    mean, std = crop_areas((0.2, 1.0))
    rounding = 0.005  # of the ramp to bytes
    assert abs(mean - expected.mean()) < 5 * expected.std() / 4000**0.5 + rounding
    assert abs(std - expected.std()) < 0.02


def test_erasing_has_the_area_distribution_of_torchvision() -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, 32, 32)
    boxes = [v1.RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0]) for _ in range(4000)]
    expected = torch.tensor([h * w / 1024 for _, _, h, w, _ in boxes])
    white = torch.full((4000, 3, 32, 32), 255, dtype=torch.uint8)
    ours = (augment.random_erasing(white, p=1.0, generator=seeded(0))[:, 0] == 0).float().mean((1, 2))
    assert abs(ours.mean() - expected.mean()) < 5 * expected.std() * (2 / 4000) ** 0.5
    half = (augment.random_erasing(white, p=0.5, generator=seeded(0))[:, 0] == 0).flatten(1).any(1).float().mean()
    assert abs(half - 0.5) < 4 * 0.5 / 4000**0.5


def test_colour_factors_have_the_range_of_torchvision() -> None:
    images = torch.full((4000, 3, 8, 8), 100, dtype=torch.uint8)
    values = augment.color_jitter(images, brightness=0.4, generator=seeded(0))[:, 0, 0, 0].float()
    assert 59 <= values.min() <= 60 and 139 <= values.max() <= 140
    assert abs(values.mean() - 99.5) < 5 * 23.1 / 4000**0.5


def test_augmix_has_the_distances_of_torchvision() -> None:
    torch.manual_seed(0)
    image = noise(1)[0]
    expected = torch.stack([v1.AugMix()(image) for _ in range(300)]).float()
    ours = augment.augmix(image.repeat(300, 1, 1, 1), generator=seeded(0)).float()
    # The distance of a mixed image from its original, averaged over pixels, has the same distribution.
    distances = [(mixed - image).abs().mean((1, 2, 3)) for mixed in (ours, expected)]
    spread = (distances[0].var() / 300 + distances[1].var() / 300).sqrt()
    assert abs(distances[0].mean() - distances[1].mean()) < 4 * spread


def chi_square(counts: Tensor) -> float:
    """Return the chi-square statistic of counts that should be equal; its mean is one less than their number."""
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def assert_uniform(values: Tensor, kinds: int) -> None:
    statistic, free = chi_square(values.bincount(minlength=kinds).double()), kinds - 1
    assert statistic < free + 5 * (2 * free) ** 0.5


BATCHES = pytest.mark.parametrize("batch", [1, 2, 7, 128])


@BATCHES
def test_jitter_orders_are_uniform_and_independent(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[Tensor] = []

    def record_order(images: Tensor, names: Any, amounts: Any, order: Tensor) -> Tensor:
        orders.append(order)
        return images

    monkeypatch.setattr(_color, "jitter", record_order)
    images = noise(batch)
    for seed in range(4800 // batch):
        augment.color_jitter(images, brightness=1, contrast=1, saturation=1, hue=0.1, generator=seeded(seed))
    drawn = torch.cat(orders)
    assert torch.equal(drawn.sort(1).values, torch.arange(4).expand_as(drawn))  # permutations
    _, which = (drawn * torch.tensor([64, 16, 4, 1])).sum(1).unique(return_inverse=True)
    assert_uniform(which, 24)
    if batch > 1:  # the orders of adjacent images are independent
        adjacent = drawn[0::2][: len(drawn) // 2, 0] * 4 + drawn[1::2][: len(drawn) // 2, 0]
        assert_uniform(adjacent, 16)


@BATCHES
def test_augmix_operations_are_uniform_and_independent(batch: int) -> None:
    images = noise(batch)
    drawn = torch.cat(
        [torch.stack(_augmix.draw_chains(images, 13, -1, seeded(seed)), 1) for seed in range(5200 // batch)]
    )
    assert_uniform((drawn < 13).sum(1) - 1, 3)  # chains of one, two or three operations
    assert bool((drawn.eq(13).int().diff(dim=1) >= 0).all())  # no operation follows the end of a chain
    for position in range(3):
        assert_uniform(drawn[:, position][drawn[:, position] < 13], 13)
    longer_chains = drawn[drawn[:, 1] < 13]
    assert_uniform(longer_chains[:, 0] * 13 + longer_chains[:, 1], 169)
    if batch > 1:
        pairs = len(drawn) // 2
        assert_uniform(drawn[0::2][:pairs, 0] * 13 + drawn[1::2][:pairs, 0], 169)


def test_augmix_chains_have_the_given_depth() -> None:
    drawn = torch.stack(_augmix.draw_chains(noise(40), 9, 2, seeded(0)))
    assert drawn.shape == (2, 40) and int(drawn.max()) < 9


class Launches(TorchDispatchMode):
    """Counts operators that compute, and copies from the host."""

    def __init__(self) -> None:
        super().__init__()
        self.computing, self.from_host = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.computing += not is_view(func)
        self.from_host += func in {torch.ops.aten.lift_fresh.default, torch.ops.aten._local_scalar_dense.default}
        return result


@pytest.mark.parametrize(
    ("name", "most_operators"),
    [
        ("colour", 250),
        ("augmix", 750),
        ("erasing", 80),
        ("rand-augment", 620),
        ("trivial-augment", 330),
        ("mixup", 30),
        ("cutmix", 60),
    ],
)
def test_augmentation_neither_waits_for_the_device_nor_copies_to_it(name: str, most_operators: int) -> None:
    """On the device "meta", which has no values and raises an error if they are read."""
    function, arguments, _ = AUGMENTATIONS[name]
    images = torch.empty(128, 3, 32, 32, dtype=torch.uint8, device="meta")
    weights = mock.patch.object(torch, "_sample_dirichlet", lambda alphas, _: torch.rand_like(alphas))
    with weights, Launches() as launches:
        assert function(images, **arguments).shape == images.shape
    assert launches.from_host == 0 and launches.computing <= most_operators
