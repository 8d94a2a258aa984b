"""Complete networks: published parameter counts, and outputs equal to torchvision's implementations."""

import math

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.densenet import _DenseLayer, _Transition
from torchvision.models.mobilenetv2 import InvertedResidual as TorchvisionInvertedResidual
from torchvision.models.resnet import BasicBlock as TorchvisionBasicBlock

from reference_models import (
    BasicBlock,
    CifarResNet,
    ConvNeXtBlock,
    ConvNeXtUNet,
    DCGANDiscriminator,
    DCGANGenerator,
    DenseLayer,
    DenseNet,
    InvertedResidual,
    MobileNetV2,
    SelfAttention2d,
    Transition,
    he_init_,
    lopez,
    sinusoidal_embedding,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def take_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy weights by position: names may differ, shapes may not."""
    states = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(states))


def scramble(module: nn.Module) -> nn.Module:
    """Randomise running statistics and scales, so that a misplaced normalisation changes the outputs."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            for tensor in (child.weight.data, child.running_var, child.bias.data, child.running_mean):
                tensor.uniform_(0.5, 1.5)
    return module.eval()


@pytest.mark.parametrize(("expansion", "stride", "out"), [(1, 1, 16), (6, 2, 24), (4, 1, 16)])
def test_inverted_residual_equals_torchvision(expansion: int, stride: int, out: int) -> None:
    theirs = scramble(TorchvisionInvertedResidual(16, out, stride, expansion))
    ours = InvertedResidual(16, out, expansion=expansion, stride=stride)
    take_weights(ours, theirs)
    x = torch.randn(3, 16, 9, 9)
    assert torch.allclose(ours.eval()(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize(
    ("width_in", "width_out", "expansion", "stride", "params"),
    [(16, 32, 4, 2, 6_016), (32, 32, 4, 1, 18_112), (32, 64, 8, 2, 60_800)],
)
def test_inverted_residual_has_the_parameters_of_paper_002(
    width_in: int, width_out: int, expansion: int, stride: int, params: int
) -> None:
    block = InvertedResidual(
        width_in, width_out, expansion=expansion, stride=stride, activation=nn.SiLU, squeeze_reduction=4
    )
    assert count(block) == params
    assert block(torch.randn(2, width_in, 14, 14)).shape == (2, width_out, 14 // stride, 14 // stride)


def test_mobilenet_v2_equals_torchvision() -> None:
    theirs = scramble(torchvision.models.mobilenet_v2())
    ours = MobileNetV2()
    take_weights(ours, theirs)
    x = torch.randn(2, 3, 64, 64)
    assert torch.allclose(ours.eval()(x), theirs(x), rtol=1e-3, atol=1e-3)
    assert count(ours) == 3_504_872  # torchvision's documented num_params


def test_dense_layer_and_transition_equal_torchvision() -> None:
    theirs: nn.Module = scramble(_DenseLayer(24, 12, 4, 0.0))
    ours: nn.Module = DenseLayer(24, 12, bottleneck=48)
    take_weights(ours, theirs)
    x = torch.randn(2, 24, 8, 8)
    assert torch.allclose(ours.eval()(x), torch.cat([x, theirs(x)], 1), atol=1e-5)
    theirs, ours = scramble(_Transition(24, 12)), Transition(24, 12)
    take_weights(ours, theirs)
    assert torch.allclose(ours.eval()(x), theirs(x), atol=1e-5)


def test_densenet_parameters_equal_the_paper() -> None:
    assert count(DenseNet()) == 769_162  # DenseNet-BC (L = 100, k = 12): 0.8 M in table 2 of the paper
    theirs = torchvision.models.DenseNet(12, (16, 16, 16), 24, num_classes=10)
    # torchvision's stem is a 7×7 convolution with a normalisation; CIFAR's is 3×3 without one.
    assert count(theirs) - count(DenseNet()) == (49 - 9) * 3 * 24 + 2 * 24


def test_densenet_candidates_have_the_parameters_of_paper_003() -> None:
    a = DenseNet(growth=8, layers_per_block=5, blocks=4, stem=31, num_classes=100)
    b = DenseNet(growth=8, layers_per_block=5, blocks=4, stem=39, bottleneck=False, norm=False, num_classes=100)
    assert count(a) == count(b) == 99_735
    assert a(torch.randn(2, 3, 32, 32)).shape == b(torch.randn(2, 3, 32, 32)).shape == (2, 100)


def test_resnet_block_equals_torchvision_and_pads_new_channels() -> None:
    theirs, ours = scramble(TorchvisionBasicBlock(16, 16)), BasicBlock(16, 16)
    take_weights(ours, theirs)
    x = torch.randn(2, 16, 8, 8)
    assert torch.allclose(ours.eval()(x), theirs(x), atol=1e-5)
    growing = BasicBlock(16, 32, stride=2).eval()
    nn.init.zeros_(growing.layers[4].weight)  # only the shortcut remains
    out = growing(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2].relu())
    assert out[:, :8].abs().max() == 0 and out[:, 24:].abs().max() == 0


@pytest.mark.parametrize(("blocks", "params"), [(3, 269_722), (5, 464_154), (9, 853_018), (18, 1_727_962)])
def test_cifar_resnet_parameters_equal_the_paper(blocks: int, params: int) -> None:
    # ResNet-20, 32, 56 and 110: 0.27, 0.46, 0.85 and 1.7 M in table 6 of the paper.
    assert count(CifarResNet(blocks_per_stage=blocks)) == params


def test_he_init_has_the_variance_of_the_paper() -> None:
    network = he_init_(nn.Sequential(nn.Conv2d(64, 128, 3)))
    assert network[0].weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.02)  # type: ignore[index,union-attr,operator]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("cnn1", 1_481_574),
        ("cnn2", 10_393_946),
        ("cnn3", 805_406),
        ("cnn4", 471_160),
        ("cnn5", 856_708),
        ("cnn6", 2_494_022),
        ("cnn7", 3_004_917),
        ("cnn8", 3_498_724),
    ],
)
def test_networks_have_the_parameters_of_paper_004(name: str, params: int) -> None:
    network = getattr(lopez, name)()
    assert count(network) == params
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 100)


def test_dcgan_at_64_pixels_has_the_parameters_of_the_torch_tutorial() -> None:
    generator = DCGANGenerator(100, (512, 256, 128, 64))
    discriminator = DCGANDiscriminator((64, 128, 256, 512))
    assert (count(generator), count(discriminator)) == (3_576_704, 2_765_568)
    images = generator(torch.randn(2, 100, 1, 1))
    assert images.shape == (2, 3, 64, 64) and discriminator(images).shape == (2,)


def test_convnext_unet_parameters_by_layer() -> None:
    unet = ConvNeXtUNet()
    assert {name: count(child) for name, child in unet.named_children()} == {
        "labels": 3_200,
        "time": 74_240,
        "stem": 2_960,
        "down": 11_244 + 15_168 + 26_336 + 38_528 + 81_344 + 109_824,
        "downsample": 16_416 + 65_600,
        "middle": 109_824,
        "attention": 65_920,
        "up": 140_800 + 38_528 + 56_064 + 15_168,
        "upsample": 65_600 + 16_416,
        "final": 6_944,
        "head": 99,
    }
    assert count(unet) == 960_223


def test_convnext_unet_uses_time_and_labels() -> None:
    unet = ConvNeXtUNet().eval()
    x, times, labels = torch.randn(2, 3, 32, 32), torch.tensor([3, 900]), torch.tensor([1, 99])
    unconditional = unet(x, times)
    assert unconditional.shape == x.shape
    assert not torch.allclose(unconditional, unet(x, times.flip(0)))
    conditional = unet(x, times, labels)
    mixed = unet(x, times, labels, torch.tensor([True, False]))
    assert torch.allclose(mixed[0], conditional[0], atol=1e-6) and torch.allclose(
        mixed[1], unconditional[1], atol=1e-6
    )
    assert not torch.allclose(conditional, unconditional)


def test_attention_equals_torchs_multihead_attention() -> None:
    ours = SelfAttention2d(16, heads=2, head_width=8)
    theirs = nn.MultiheadAttention(16, 2, bias=True, batch_first=True)
    theirs.in_proj_weight.data = ours.to_qkv.weight.data.flatten(1)
    theirs.in_proj_bias.data.zero_()
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = (
        ours.to_out.weight.data.flatten(1),
        ours.to_out.bias.data,  # type: ignore[union-attr]
    )
    x = torch.randn(3, 16, 4, 5)
    tokens = ours.norm(x).flatten(2).mT
    expected = x + theirs(tokens, tokens, tokens)[0].mT.unflatten(2, (4, 5))
    assert torch.allclose(ours(x), expected, atol=1e-5)


def test_convnext_block_without_its_last_layer_is_the_identity() -> None:
    block = ConvNeXtBlock(4, 4, time_width=6)
    for parameter in block.layers[4].parameters():
        nn.init.zeros_(parameter)  # only the shortcut remains
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x, torch.randn(2, 6)), x)
    assert count(ConvNeXtBlock(32, 32, time_width=None)) == 6_944


def test_sinusoidal_embedding_by_hand() -> None:
    embedded: Tensor = sinusoidal_embedding(torch.tensor([0, 7]), 32)
    frequencies = [math.exp(-math.log(10_000) * k / 15) for k in range(16)]
    expected = [math.sin(7 * f) for f in frequencies] + [math.cos(7 * f) for f in frequencies]
    assert embedded[1].tolist() == pytest.approx(expected, abs=1e-5)
    assert embedded[0].tolist() == [0.0] * 16 + [1.0] * 16
