"""Counts against closed forms, published figures and torch's own counter."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from bench.measure.cost import (
    MeasurementError,
    count_parameters,
    macs_per_image,
    measured_flops,
    stored_scalars,
)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Tensor:
        return self.function(*args)


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv2d(3, 16, 3, padding=1), (1, 3, 32, 32), 32 * 32 * 16 * 3 * 9),
        (nn.Conv2d(24, 24, 3, padding=1, groups=24), (1, 24, 8, 8), 8 * 8 * 24 * 9),
        (nn.Conv2d(8, 16, 1, groups=4, stride=2), (1, 8, 8, 8), 4 * 4 * 16 * 2),
        # A transposed convolution spreads each input pixel over k² results.
        (nn.ConvTranspose2d(100, 64, 4), (1, 100, 1, 1), 100 * 64 * 16),
        (nn.ConvTranspose2d(64, 3, 4, 2, 1), (1, 64, 16, 16), 16 * 16 * 64 * 3 * 16),
        (nn.Linear(576, 120), (1, 576), 69_120),  # fvcore's own example
        (Apply(lambda x: x @ x.transpose(1, 2)), (1, 5, 7), 5 * 7 * 5),
        (Apply(lambda x: torch.einsum("bij,bkj->bik", x, x)), (1, 5, 7), 5 * 7 * 5),
        (Apply(lambda x: scaled_dot_product_attention(x, x, x)), (1, 2, 10, 8), 2 * 2 * 10 * 10 * 8),
        (Apply(lambda x: torch.baddbmm(x @ x, x, x)), (1, 6, 6), 2 * 6**3),
    ],
)
def test_closed_forms(module: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert macs_per_image(module.eval(), (torch.randn(shape),)).macs == macs


class Conditional(nn.Module):
    """Takes what a diffusion model takes: an image, a time, and a label or None."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.label = nn.Linear(4, 8), nn.Linear(2, 8)

    def forward(self, image: Tensor, time: float, *, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.image(image) * time
        return out if label is None else out + self.label(label)


def test_arguments_that_are_no_tensors_are_held_fixed() -> None:
    network, image = Conditional(), torch.randn(1, 4)
    assert macs_per_image(network, (image, 0.5), {"label": None}).macs == 32
    assert macs_per_image(network, (image, 0.5), {"label": torch.randn(1, 2)}).macs == 32 + 16


def test_published_figures() -> None:
    # torchvision's documentation: 11,689,512 parameters and 1.81 GFLOPS (it counts MACs); 3,504,872 and 0.3.
    for name, params, gmacs in (("resnet18", 11_689_512, 1.81), ("mobilenet_v2", 3_504_872, 0.30)):
        network = torchvision.models.get_model(name).eval()
        assert count_parameters({"model": network}).total == params
        assert round(macs_per_image(network, (torch.randn(1, 3, 224, 224),)).macs / 1e9, 2) == gmacs


def test_normalisation_and_pooling_are_no_macs() -> None:
    found = macs_per_image(
        nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1)).eval(), (torch.randn(1, 3, 4, 4),)
    )
    assert found.macs == 0 and found.elementwise_ops > 0 and found.uncounted == {}


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda x: torch.fft.fft(x).real, "aten::fft_fft"),
        (lambda x: torch.cdist(x, x), "aten::cdist"),
        (nn.LSTM(8, 4), "aten::lstm"),
        (lambda x: x[0] @ x[0, 0], "product with a vector"),
        (lambda x: torch.mv(x[0], x[0, 0]), "aten::mv"),
    ],
)
def test_work_that_nobody_counts_is_an_error(function: Any, named: str) -> None:
    with pytest.raises(MeasurementError, match=named):
        macs_per_image(Apply(function), (torch.randn(1, 3, 8),))


def test_a_product_that_fvcore_passes_over_is_an_error() -> None:
    # torch decomposes it into a matrix product, fvcore does not know it.
    with pytest.raises(MeasurementError, match=r"fvcore counts 0 MACs and torch 27.*aten::tensordot"):
        macs_per_image(Apply(lambda x: torch.tensordot(x, x, 1)), (torch.randn(3, 3),))


def test_an_operator_of_no_known_cost_is_listed() -> None:
    found = macs_per_image(Apply(torch.special.erfcx), (torch.randn(1, 8),))
    assert found.uncounted == {"aten::special_erfcx": 1}


def test_a_shared_parameter_counts_once() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert count_parameters({"a": first, "b": second}).total == 16
    assert count_parameters({"a": first, "b": second}).by_module == (("a", 16),)


def test_table_names_modules() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4)))
    assert count_parameters({"g": network}).by_module == (("g.0", 112), ("g.1.0", 8))


class Hoarder(nn.Module):
    """Keeps numbers wherever it can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(10, 10)
        self.register_buffer("kept", torch.zeros(7))
        self.register_buffer("dropped", torch.zeros(5), persistent=False)
        self.plain = torch.zeros(11)
        self.nested = {"a": [torch.zeros(2), (torch.zeros(3), {torch.zeros(4)})]}
        self.nested["self"] = self.nested  # type: ignore[assignment]
        self.table = [0.5] * 100
        self.few = [1, 2, 3]
        self.array = torch.zeros(6).numpy()
        self.modules_in_a_list = [nn.Linear(3, 2, bias=False), self.linear]
        self.view = self.linear.weight.detach()[:5]  # the same storage again


def test_every_stored_number_is_found_once() -> None:
    found = stored_scalars(Hoarder())
    assert (found.parameters, found.buffers, found.plain) == (110, 12, 11 + 9 + 100 + 6 + 6)


def test_a_part_of_a_large_tensor_stores_all_of_it() -> None:
    module = nn.Module()
    module.slice = torch.zeros(1000)[:1]
    assert stored_scalars(module).plain == 1000


@pytest.mark.parametrize(
    ("layer", "forward_macs"),
    [
        (nn.Conv2d(4, 8, 3), 6 * 6 * 8 * 4 * 9),
        (
            nn.Conv2d(4, 4, 3, groups=4),
            6 * 6 * 4 * 9,
        ),  # torch alone: 6 forward passes
        (nn.Conv2d(4, 8, 3, groups=2, stride=2, padding=1), 4 * 4 * 8 * 2 * 9),
        (nn.ConvTranspose2d(4, 6, 4, 2, 1), 8 * 8 * 4 * 6 * 16),
        (nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), 8 * 8 * 4 * 3 * 16),
        (nn.Linear(8, 5), 4 * 8 * 5),
    ],
)
def test_training_flops_are_three_forward_passes(layer: nn.Module, forward_macs: int) -> None:
    # Forward, gradient of the input, gradient of the weight; each 2 FLOPs a MAC.
    images = torch.randn(2, 4, 8, 8, requires_grad=True)
    if isinstance(layer, nn.Linear):
        forward_macs *= 8
    assert measured_flops(lambda: layer(images).sum().backward()) == 3 * 2 * (2 * forward_macs)
    # Without a gradient of the input, as in a network's first layer.
    assert measured_flops(lambda: layer(images.detach()).sum().backward()) == 2 * 2 * (2 * forward_macs)
