"""Blocks against torchvision's, closed forms and published counts."""

import pytest
import torch
import torchvision
from torch import nn

from reference_models import (
    DCGANDiscriminator,
    DCGANGenerator,
    DepthwiseSeparableConv2d,
    Normalize,
    SqueezeExcitation,
    Standardize,
    dcgan_init_,
    to_unit_range,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_squeeze_excitation_equals_torchvision() -> None:
    ours, theirs = SqueezeExcitation(32, reduction=4), torchvision.ops.SqueezeExcitation(32, 8)
    for our_layer, their_layer in ((ours.squeeze, theirs.fc1), (ours.excite, theirs.fc2)):
        our_layer.weight.data = their_layer.weight.data.flatten(1)
        our_layer.bias.data = their_layer.bias.data
    x = torch.randn(4, 32, 7, 5)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize(("channels", "params"), [(32, 162), (64, 580), (128, 2_184), (256, 8_464)])
def test_squeeze_excitation_parameters_equal_the_closed_form(channels: int, params: int) -> None:
    assert count(SqueezeExcitation(channels)) == params == 2 * channels**2 // 16 + channels // 16 + channels


def test_squeeze_excitation_refuses_a_ratio_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="`reduction` is 16; it must divide the 24 channels"):
        SqueezeExcitation(24)


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_separable_is_a_full_convolution_of_low_rank(stride: int) -> None:
    block = DepthwiseSeparableConv2d(6, 10, stride=stride)
    # The kernel of the equivalent full convolution: pointwise weight times depthwise filter.
    kernel = block.pointwise.weight * block.depthwise.weight.transpose(0, 1)
    x = torch.randn(2, 6, 9, 8)
    expected = nn.functional.conv2d(x, kernel, stride=stride, padding=1)
    assert torch.allclose(block(x), expected, atol=1e-5)
    assert count(block) == 9 * 6 + 6 * 10


def test_normalize_equals_torchvision() -> None:
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
    scaled = torchvision.transforms.functional.convert_image_dtype(images)
    theirs = torchvision.transforms.functional.normalize(scaled, mean, std)
    module = Normalize(mean, std)
    assert torch.allclose(module(images), theirs, atol=1e-6)
    assert torch.equal(to_unit_range(images), scaled)
    assert module.state_dict() == {} and count(module) == 0


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.int64])
def test_standardize_equals_normalize_and_keeps_its_input(dtype: torch.dtype, order: torch.memory_format) -> None:
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
    inputs = images.to(dtype, memory_format=order)
    module, before = Standardize(mean, std), inputs.clone()
    first, second = module(inputs), module(inputs)
    assert torch.equal(first, second) and torch.equal(inputs, before) and first.dtype == torch.float32
    assert torch.equal(first, Normalize(mean, std)(images))
    assert module.state_dict() == {} and count(module) == 0


@pytest.mark.parametrize("f", [8, 46])
def test_dcgan_count_is_the_closed_form_of_paper_000(f: int) -> None:
    generator = DCGANGenerator(100, (4 * f, 2 * f, f), bias=True)
    discriminator = DCGANDiscriminator((f, 2 * f, 4 * f), bias=True)
    assert count(generator) + count(discriminator) == 320 * f**2 + 6600 * f + 4
    if f == 46:
        assert (count(generator), count(discriminator)) == (636_137, 344_587)


def test_dcgan_counts_of_papers_002_and_003() -> None:
    assert (count(DCGANGenerator(100, (96, 64, 48))), count(DCGANDiscriminator())) == (303_776, 663_296)
    third = DCGANGenerator(128, (128, 64, 32)), DCGANDiscriminator((32, 64, 128), norm_first=True)
    assert tuple(map(count, third)) == (427_968, 167_872)


def test_dcgan_shapes_ranges_and_initialisation() -> None:
    generator, discriminator = dcgan_init_(DCGANGenerator()), dcgan_init_(DCGANDiscriminator())
    images = generator(torch.randn(3, 100, 1, 1))
    scores = discriminator(images)
    assert images.shape == (3, 3, 32, 32) and images.abs().max() <= 1
    assert scores.shape == (3,) and scores.min() >= 0 and scores.max() <= 1
    weights = torch.cat([m.weight.flatten() for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02) and weights.mean().item() == pytest.approx(
        0, abs=1e-3
    )
    scales = torch.cat([m.weight for m in generator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01) and scales.std().item() == pytest.approx(
        0.02, rel=0.2
    )
