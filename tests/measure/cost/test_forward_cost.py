"""Costs of forward passes and training against closed forms, published values and fvcore."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm

from bench.measure.cost.forward_cost import forward_cost
from bench.measure.cost.operator_counter import counted


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Any:
        return self.function(*args)


def attend(module: nn.MultiheadAttention) -> Apply:
    applied = Apply(lambda x: module(x, x, x)[0])
    applied.module = module
    return applied.eval()


def mask(size: int) -> Tensor:
    return torch.randn(size, size)


MHA_MACS = 10 * 64 * (3 * 64) + 2 * 10 * 10 * 64 + 10 * 64 * 64  # projections, two products, projection
EYE = torch.eye(8)


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv2d(3, 16, 3, padding=1), (1, 3, 32, 32), 32 * 32 * 16 * 3 * 9),
        (nn.Conv2d(3, 16, 3, padding="same"), (1, 3, 32, 32), 32 * 32 * 16 * 3 * 9),
        (nn.Conv2d(24, 24, 3, padding=1, groups=24), (1, 24, 8, 8), 8 * 8 * 24 * 9),
        (nn.Conv2d(8, 16, 1, groups=4, stride=2), (1, 8, 8, 8), 4 * 4 * 16 * 2),
        # A transposed convolution spreads each input pixel over k² results.
        (nn.ConvTranspose2d(100, 64, 4), (1, 100, 1, 1), 100 * 64 * 16),
        (nn.ConvTranspose2d(64, 3, 4, 2, 1), (1, 64, 16, 16), 16 * 16 * 64 * 3 * 16),
        (nn.Linear(576, 120), (1, 576), 69_120),  # fvcore's own example
        (Apply(lambda x: x @ x.transpose(1, 2)), (1, 5, 7), 5 * 7 * 5),
        (Apply(lambda x: torch.einsum("bij,bkj->bik", x, x)), (1, 5, 7), 5 * 7 * 5),
        (Apply(lambda x: torch.einsum("bchw,cd->bdhw", x, torch.ones(3, 7))), (1, 3, 4, 5), 4 * 5 * 3 * 7),
        (Apply(lambda x: x @ torch.ones(5, 8, 4)), (1, 1, 3, 8), 5 * 3 * 8 * 4),  # fvcore: 96
        (Apply(lambda x: torch.tensordot(x, x, 1)), (3, 3), 27),
        (Apply(lambda x: torch.baddbmm(x @ x, x, x)), (1, 6, 6), 2 * 6**3),
        (Apply(lambda x: torch.addbmm(x[0], x, x)), (2, 6, 6), 2 * 6**3),
        (Apply(lambda x: x @ x[0]), (6, 6), 36),
        (Apply(lambda x: torch.addmv(x[0], x, x[0])), (6, 6), 36),
        (Apply(lambda x: x.clone().addmm_(x, x).addr_(x[0], x[1])), (6, 6), 6**3 + 36),
        (Apply(lambda x: x[0].clone().addmv_(x, x[0])), (6, 6), 36),
        (Apply(lambda x: torch.dot(x[0], x[0])), (1, 9), 9),
        # An outer product is a matrix product with one term, in every notation.
        (Apply(lambda x: torch.outer(x[0], x[0])), (1, 9), 81),
        (Apply(lambda x: x[:, :, None] * x[:, None]), (1, 9), 81),
        (Apply(lambda x: torch.kron(x, x)), (2, 3), 36),
        (Apply(lambda x: x * x[:, :, :1, :1]), (1, 3, 4, 4), 0),  # scaling channels is no outer product
        (Apply(lambda x: torch.sparse.mm(EYE.to_sparse(), x)), (8, 3), 8 * 3),
        (Apply(lambda x: EYE.to_sparse() @ x), (8, 3), 8 * 3),
        # (a + bi)(c + di) is four products.
        (Apply(lambda x: torch.complex(x, x) @ torch.complex(x, x)), (6, 6), 4 * 6**3),
        (Apply(lambda x: nn.functional.bilinear(x, x, torch.ones(5, 4, 4))), (2, 4), 2 * 5 * 4 * 4),
        (Apply(lambda x: torch.cdist(x, x)), (1, 6, 3), 6 * 6 * 3),
        (Apply(lambda x: torch.cdist(x, x)), (1, 40, 3), 40 * 40 * 3),  # torch uses another algorithm
        (Apply(lambda x: normalize(x) + torch.norm(x)), (1, 40), 0),
        (spectral_norm(nn.Linear(8, 4)), (1, 8), 8 * 4 + 8 * 4 + 4),  # the layer, W v, and u (W v)
        (Apply(lambda x: scaled_dot_product_attention(x, x, x)), (1, 2, 10, 8), 2 * 2 * 10 * 10 * 8),
        (Apply(lambda x: scaled_dot_product_attention(x, x, x[..., :3])), (1, 2, 10, 8), 2 * 10 * 10 * (8 + 3)),
        (Apply(lambda x: scaled_dot_product_attention(x, x, x, mask(10))), (1, 2, 10, 8), 2 * 2 * 10 * 10 * 8),
        (
            Apply(lambda x: scaled_dot_product_attention(x.mT, x.mT, x.mT, is_causal=True)),
            (1, 2, 8, 10),
            2 * 2 * 10 * 10 * 8,
        ),
        (attend(nn.MultiheadAttention(64, 4, batch_first=True)), (1, 10, 64), MHA_MACS),
        (attend(nn.MultiheadAttention(64, 4)), (10, 1, 64), MHA_MACS),
        (nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), (1, 10, 64), MHA_MACS + 2 * 10 * 64 * 128),
        # Four gates, three gates; both directions of two layers.
        (nn.LSTM(8, 4, batch_first=True), (1, 10, 8), 10 * 4 * 4 * (8 + 4)),
        (nn.GRU(8, 4, batch_first=True), (1, 10, 8), 10 * 3 * 4 * (8 + 4)),
        (nn.RNN(8, 4, batch_first=True), (1, 10, 8), 10 * 4 * (8 + 4)),
        (nn.LSTM(8, 4, 2, bidirectional=True), (10, 1, 8), 10 * 2 * 4 * 4 * ((8 + 4) + (8 + 4))),
        (nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1)), (1, 3, 4, 4), 0),
    ],
)
def test_macs_equal_closed_forms(module: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    cost = forward_cost(module.eval(), (torch.randn(shape),))
    assert cost.ran.total_macs == macs and cost.ran.uncounted == {}


def test_counted_attention_equals_the_fused_kernel() -> None:
    layer, x = nn.TransformerEncoderLayer(16, 4, batch_first=True).eval(), torch.randn(2, 5, 16)
    with torch.no_grad(), counted():
        explicit = layer(x)
    assert torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), explicit)


class Conditional(nn.Module):
    """Takes the arguments of a diffusion model: an image, a time, and a label or None."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.label = nn.Linear(4, 8), nn.Linear(2, 8)

    def forward(self, image: Tensor, time: float, *, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.image(image) * time
        return out if label is None else out + self.label(label)


def test_non_tensor_arguments_are_constants() -> None:
    network, image = Conditional(), torch.randn(1, 4)
    for label, macs in ((None, 32), (torch.randn(1, 2), 32 + 16)):
        cost = forward_cost(network, (image, 0.5), {"label": label})
        assert cost.ran.total_macs == cost.by_fvcore.macs == macs


@pytest.mark.parametrize(
    ("name", "gmacs"), [("resnet18", 1.81), ("mobilenet_v2", 0.30), ("vit_b_16", 17.56), ("swin_t", 4.49)]
)
def test_macs_equal_published_values(name: str, gmacs: float) -> None:
    # "GFLOPS" in torchvision's documentation are MACs.
    network = torchvision.models.get_model(name).eval()
    with torch.device("meta"):
        meta = torchvision.models.get_model(name).eval()
        x = torch.randn(1, 3, 224, 224)
    del network
    with torch.no_grad(), counted() as ran:
        meta(x)
    assert round(ran.total_macs / 1e9, 2) == gmacs


def test_fvcore_agrees_on_resnet18() -> None:
    cost = forward_cost(torchvision.models.get_model("resnet18").eval(), (torch.randn(1, 3, 64, 64),))
    assert cost.by_fvcore.macs == cost.ran.total_macs and cost.by_fvcore.elementwise_ops > 0
    assert cost.by_fvcore.against(cost.inside) == []


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (torch.fft.fft, "_fft_r2c"),
        (lambda x: torch.stft(x[0], 4, window=torch.ones(4), return_complex=True).abs(), "_fft_r2c"),
        (torch.linalg.svdvals, "_linalg_svd"),
        (lambda x: torch.linalg.inv(x[:, :, :3]), "linalg_inv_ex"),
        (lambda x: torch.linalg.eigh(x[:, :, :3])[0], "_linalg_eigh"),
        (lambda x: torch.matrix_exp(x[:, :, :3]), "linalg_matrix_exp"),
    ],
)
def test_uncounted_operator_is_reported_with_its_share(function: Callable[[Tensor], Any], operator: str) -> None:
    ran = forward_cost(Apply(function), (torch.randn(1, 3, 8),)).ran
    assert set(ran.uncounted) == {operator} and 0 < ran.uncounted_share[operator] <= 1


def test_uncounted_share_is_relative_to_all_elements() -> None:
    # 8 x 8 elements of a product, 8 + 8 + 1 of a sum, an FFT and a mean.
    ran = forward_cost(Apply(lambda x: torch.fft.fft((x @ x).sum(0)).real.mean()), (torch.randn(8, 8),)).ran
    assert ran.elements >= 64 + 8 + 8 + 1 and ran.uncounted_elements["_fft_r2c"] == 8
    assert ran.uncounted_share == {"_fft_r2c": 8 / ran.elements}


def test_disagreement_with_fvcore_reports_both_counts() -> None:
    cost = forward_cost(Apply(lambda x: x @ torch.ones(5, 8, 4)), (torch.randn(1, 1, 3, 8),))
    (line,) = cost.by_fvcore.against(cost.inside)
    assert f"{cost.by_fvcore.macs:,}" in line and "480" in line and cost.by_fvcore.macs != 480


def test_network_that_fvcore_cannot_trace_is_not_cross_checked() -> None:
    def unfit_for_tracing(x: Tensor) -> dict[str, object]:
        return {"out": x @ x, "flag": True}

    cost = forward_cost(Apply(unfit_for_tracing), (torch.randn(3, 3),))
    assert cost.ran.total_macs == 27 and cost.by_fvcore.macs is None
    assert cost.by_fvcore.against(cost.inside)[0].startswith("MACs are not cross-checked: fvcore cannot count")


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
def test_training_costs_three_forward_passes(layer: nn.Module, forward_macs: int) -> None:
    # Forward, gradient of the input, gradient of the weight.
    images = torch.randn(2, 4, 8, 8, requires_grad=True)
    if isinstance(layer, nn.Linear):
        forward_macs *= 8
    assert training_macs(lambda: layer(images)) == 3 * (2 * forward_macs)
    # Without a gradient of the input, as in a network's first layer.
    assert training_macs(lambda: layer(images.detach())) == 2 * (2 * forward_macs)


def training_macs(function: Callable[[], Tensor]) -> int:
    """Return the MACs of a forward and backward pass."""
    with counted() as ran:
        function().sum().backward()
    assert ran.uncounted == {}
    return ran.total_macs


def test_training_of_fused_attention_costs_as_its_explicit_form() -> None:
    q, k, v = (torch.randn(2, 4, 16, 8, requires_grad=True) for _ in range(3))
    explicit = training_macs(lambda: ((q @ k.mT / 8**0.5).softmax(-1)) @ v)
    assert training_macs(lambda: scaled_dot_product_attention(q, k, v)) == explicit == 3 * 2 * 2 * 4 * 16 * 16 * 8
    x, layer = torch.randn(16, 64, 32, requires_grad=True), nn.MultiheadAttention(32, 4, batch_first=True)
    assert training_macs(lambda: layer(x, x, x)[0]) == 3 * 16 * (64 * 32 * 4 * 32 + 2 * 64 * 64 * 32)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_training_of_recurrent_layers_costs_three_forward_passes(kind: type[nn.RNNBase], gates: int) -> None:
    layer, x = kind(8, 4), torch.randn(10, 2, 8, requires_grad=True)
    forward = 10 * 2 * gates * 4 * (8 + 4)
    skipped = 2 * gates * 4 * 4  # the gradient of the initial state, which some kernels skip
    assert training_macs(lambda: layer(x)[0]) in (3 * forward, 3 * forward - skipped)


def test_second_order_gradient_is_counted() -> None:
    """WGAN-GP: the forward pass, its gradient, and the gradient of that gradient's norm."""
    critic, x = nn.Linear(6, 1, bias=False), torch.randn(4, 6, requires_grad=True)

    def penalty() -> Tensor:
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return (gradient.norm(dim=1) - 1).square()

    forward = 4 * 6
    second_backward = forward  # the gradient of the weight
    assert training_macs(penalty) == 2 * forward + second_backward


def test_training_of_complex_layers_is_counted() -> None:
    weight = nn.Parameter(torch.randn(6, 6, dtype=torch.complex64))
    x = torch.randn(4, 6, dtype=torch.complex64)
    assert training_macs(lambda: torch.view_as_real(x @ weight)) == 2 * 4 * (4 * 6 * 6)
