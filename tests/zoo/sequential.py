"""Small attention, mixer, recurrent and other networks, on 3 x 16 x 16 images of 4 classes, with their costs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from tests.zoo.convolutional import HEAD, STEM, Pooled, Residual, stem
from tests.zoo.counts import Counts, attention, conv, linear, macs, norm, params, recurrent, total

TOKENS, WIDTH = 16, 8
PATCHES = conv(3, WIDTH, 4, TOKENS)


class Tokens(nn.Module):
    """Patches of 4 x 4 as 16 tokens of 8 numbers, a body, and their mean."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.patches, self.body, self.head = nn.Conv2d(3, WIDTH, 4, 4), nn.Sequential(*body), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.body(self.patches(x).flatten(2).transpose(1, 2))
        out: Tensor = self.head(tokens.mean(1))
        return out


class SelfAttention(nn.Module):
    """nn.MultiheadAttention, batch first or sequence first."""

    def __init__(self, batch_first: bool, **options: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=batch_first, **options)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        if not self.batch_first:
            x = x.transpose(0, 1)
        y: Tensor = self.attention(x, x, x, need_weights=not self.batch_first)[0]
        return y if self.batch_first else y.transpose(0, 1)


class Heads(nn.Module):
    """A variant of attention by scaled_dot_product_attention."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        key_heads = {"grouped": 1, "multi_query": 1}.get(kind, 2)
        value_width = 6 if kind == "wide_values" else 4
        self.query, self.key = nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 4 * key_heads)
        self.value, self.out = nn.Linear(WIDTH, value_width * key_heads), nn.Linear(2 * value_width, WIDTH)
        self.bias = nn.Parameter(torch.zeros(2, TOKENS, TOKENS)) if kind == "learned_mask" else None

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, width)).transpose(1, 2) for layer, width in self._layers())
        options: dict[str, Any] = {}
        if self.kind == "learned_mask":
            options["attn_mask"] = self.bias
        elif self.kind == "causal":
            options["is_causal"] = True
        elif self.kind == "grouped":
            options["enable_gqa"] = True
        elif self.kind == "multi_query":
            k, v = k.expand(-1, 2, -1, -1), v.expand(-1, 2, -1, -1)
        elif self.kind == "cosine":
            q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        y = functional.scaled_dot_product_attention(q, k, v, **options)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def _layers(self) -> list[tuple[nn.Linear, int]]:
        return [(self.query, 4), (self.key, 4), (self.value, 6 if self.kind == "wide_values" else 4)]


def heads(key_width: int = 8, value_width: int = 8, out_width: int = 8) -> Counts:
    """Return the costs of ``Heads``: four projections and two products."""
    projections = [linear(8, 8, TOKENS), linear(8, key_width, TOKENS), linear(8, value_width, TOKENS)]
    products = macs(TOKENS * TOKENS * (8 + out_width))
    return total(*projections, linear(out_width, 8, TOKENS), products)


class Latents(nn.Module):
    """Perceiver: three learned queries attend to all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(3, WIDTH))
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(self.queries.expand(len(x), -1, -1), x, x, need_weights=False)[0]
        return y


class Windows(nn.Module):
    """Swin: attention within windows of four tokens, with a bias per relative position."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.table = nn.Parameter(torch.zeros(7))
        self.register_buffer("positions", torch.arange(4)[:, None] - torch.arange(4) + 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x.reshape(-1, 4, WIDTH)).chunk(3, -1)
        scores = q @ k.mT / WIDTH**0.5 + self.table[self.positions]
        out: Tensor = self.out(scores.softmax(-1) @ v)
        return out.reshape(x.shape)


class LinearAttention(nn.Module):
    """Keys times values first (Katharopoulos et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        context = torch.einsum("bnd,bne->bde", k, v)
        return torch.einsum("bnd,bde->bne", q, context)


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
        self.tokens = nn.Sequential(nn.Linear(TOKENS, 8), nn.GELU(), nn.Linear(8, TOKENS))
        self.channels = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norms[0](x).mT).mT
        return x + self.channels(self.norms[1](x))


class SpatialGate(nn.Module):
    """The spatial gating unit of gMLP."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Conv1d(TOKENS, TOKENS, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = x.chunk(2, -1)
        return torch.cat([self.positions(gate) * value] * 2, -1)


class SwiGLU(nn.Module):
    """SwiGLU with root-mean-square normalisation and rotary positions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.RMSNorm(WIDTH), nn.Linear(WIDTH, 24), nn.Linear(12, WIDTH)
        angles = torch.arange(TOKENS)[:, None] / 10.0 ** torch.arange(WIDTH // 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.norm(x).chunk(2, -1)
        x = torch.cat([left * self.cos - right * self.sin, left * self.sin + right * self.cos], -1)
        gate, value = self.up(x).chunk(2, -1)
        out: Tensor = self.down(functional.silu(gate) * value)
        return out


class HiddenStates(nn.Module):
    """The hidden states of a recurrent layer."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)[0]
        return out


class Cells(nn.Module):
    """A loop over a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        hidden = cell = x.new_zeros(len(x), WIDTH)
        for token in x.unbind(1):
            hidden, cell = self.cell(token, (hidden, cell))
        return hidden[:, None]


class SoftExperts(nn.Module):
    """A mixture of three experts, all computed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(WIDTH, 3), nn.Parameter(torch.randn(3, WIDTH, WIDTH) / 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs = torch.einsum("bnd,kde->bnke", x, self.experts)
        return (outputs * self.gate(x).softmax(-1)[..., None]).sum(2)


class HardExperts(nn.Module):
    """Each token goes to one of three experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(WIDTH, 3), nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, WIDTH)
        weight, chosen = self.gate(flat).softmax(-1).max(-1)
        out = torch.zeros_like(flat)
        for index, expert in enumerate(self.experts):
            (assigned,) = torch.where(chosen == index)
            out = out.index_add(0, assigned, expert(flat[assigned]) * weight[assigned, None])
        return out.reshape(x.shape)


class Fourier(nn.Module):
    """FNet: tokens are mixed by a Fourier transform, which is not counted."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.fft.fft2(x).real


class Complex(nn.Module):
    """A linear layer with complex weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH, dtype=torch.complex64) / 8)

    def forward(self, x: Tensor) -> Tensor:
        return (torch.complex(x, x) @ self.weight).abs()


class Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(8, 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.mean((2, 3)), x.amax((2, 3)))
        return out


class Prototypes(nn.Module):
    """The negative distance to the prototype of each class."""

    def __init__(self) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.mean((2, 3)), self.prototypes)


class Coupling(nn.Module):
    """An affine coupling of a flow, after a learned permutation (Glow)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.linalg.qr(torch.randn(8, 8))[0])
        self.net = nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fixed, moved = functional.conv2d(x, self.mix[:, :, None, None]).chunk(2, 1)
        scale, shift = self.net(fixed).chunk(2, 1)
        return torch.cat([fixed, moved * scale.tanh().exp() + shift], 1)


class ActNorm(nn.Module):
    """A scale and a shift, initialised by the first batch and then trained; the flag changes in training too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ready", torch.tensor(False))
        self.shift, self.scale = nn.Parameter(torch.zeros(8, 1, 1)), nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.ready:
            with torch.no_grad():
                self.shift.copy_(-x.mean((0, 2, 3))[:, None, None])
                self.scale.copy_(1 / (x.std((0, 2, 3))[:, None, None] + 1e-3))
                self.ready.fill_(True)
        return (x + self.shift) * self.scale


class Codebook(nn.Module):
    """Vector quantisation; codes are moving averages of the vectors assigned to them (VQ-VAE with EMA)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(5, 8))
        self.register_buffer("sizes", torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.movedim(1, -1).reshape(-1, 8)
        chosen = torch.cdist(flat, self.codes).argmin(1)
        if self.training:
            with torch.no_grad():
                hits = functional.one_hot(chosen, 5).float()
                self.sizes.lerp_(hits.sum(0), 0.1)
                self.codes.lerp_((hits.T @ flat) / self.sizes[:, None].clamp_min(1e-3), 0.1)
        coded = self.codes[chosen].reshape(*x.shape[:1], *x.shape[2:], 8).movedim(-1, 1)
        return x + (coded - x).detach()


class FakeQuantize(nn.Module):
    """Quantisation-aware training: activations are quantised to the range of the largest one seen."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.largest.copy_(torch.maximum(self.largest, x.detach().abs().max()))
        return torch.fake_quantize_per_tensor_affine(x, float(self.largest) / 127, 0, -128, 127)


class Tied(nn.Module):
    """One layer three times, then its transpose: weights count once, products every time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.layer(x).tanh()
        return functional.linear(x, self.layer.weight.T)


def sequential() -> dict[str, tuple[nn.Module, Counts]]:
    """Return name -> a network and its costs."""
    encoder = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.1, batch_first=True, norm_first=True)
    token_head = linear(WIDTH, 4)
    feed_forward = total(linear(WIDTH, 16, TOKENS), linear(16, WIDTH, TOKENS))
    conv_body = total(STEM, conv(8, 8, 3, 64))

    def tokens(*parts: Counts) -> Counts:
        return total(PATCHES, *parts, token_head)

    def normalised(kind: Any) -> nn.Module:
        return Pooled(stem(), kind(nn.Conv2d(8, 8, 3, padding=1)))

    return {
        "mlp": (
            nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.ReLU(), nn.Linear(8, 4)),
            total(linear(768, 8), linear(8, 4)),
        ),
        "vit": (Tokens(encoder), tokens(attention(8, TOKENS), feed_forward, norm(8), norm(8))),
        "attention_batch_first": (Tokens(SelfAttention(True)), tokens(attention(8, TOKENS))),
        "attention_sequence_first": (
            Tokens(SelfAttention(False, bias=False)),
            tokens(attention(8, TOKENS, bias=False)),
        ),
        # An additional key and value for every token.
        "attention_extra_key": (
            Tokens(SelfAttention(True, add_bias_kv=True)),
            tokens(attention(8, TOKENS), params(16), macs(2 * TOKENS * WIDTH)),
        ),
        "attention_causal": (Tokens(Heads("causal")), tokens(heads())),
        "attention_learned_mask": (Tokens(Heads("learned_mask")), tokens(heads(), params(2 * TOKENS**2))),
        "attention_wide_values": (Tokens(Heads("wide_values")), tokens(heads(8, 12, 12))),
        "attention_multi_query": (Tokens(Heads("multi_query")), tokens(heads(4, 4))),
        "attention_grouped": (Tokens(Heads("grouped")), tokens(heads(4, 4))),
        "attention_cosine": (Tokens(Heads("cosine")), tokens(heads())),
        "perceiver": (Tokens(Latents()), tokens(params(3 * WIDTH), attention(8, 3, TOKENS))),
        "swin": (
            Tokens(Windows()),
            tokens(linear(8, 24, TOKENS), linear(8, 8, TOKENS), params(7), macs(2 * TOKENS * 4 * WIDTH)),
        ),
        "linear_attention": (
            Tokens(LinearAttention()),
            tokens(linear(8, 24, TOKENS, bias=False), macs(2 * TOKENS * WIDTH * WIDTH)),
        ),
        "mlp_mixer": (
            Tokens(Mixer()),
            tokens(norm(8), norm(8), linear(TOKENS, 8, 8), linear(8, TOKENS, 8), feed_forward),
        ),
        "gmlp": (Tokens(SpatialGate()), tokens(Counts(TOKENS**2 + TOKENS, TOKENS**2 * 4))),
        "swiglu": (Tokens(SwiGLU()), tokens(params(8), linear(8, 24, TOKENS), linear(12, 8, TOKENS))),
        "lstm": (
            Tokens(HiddenStates(nn.LSTM(8, 4, bidirectional=True, batch_first=True))),
            tokens(recurrent(8, 4, TOKENS, 4), recurrent(8, 4, TOKENS, 4)),
        ),
        "gru": (
            Tokens(HiddenStates(nn.GRU(8, 8, 2, batch_first=True))),
            tokens(recurrent(8, 8, TOKENS, 3), recurrent(8, 8, TOKENS, 3)),
        ),
        "rnn": (Tokens(HiddenStates(nn.RNN(8, 8, batch_first=True))), tokens(recurrent(8, 8, TOKENS, 1))),
        "lstm_cell": (Tokens(Cells()), tokens(recurrent(8, 8, TOKENS, 4))),
        "soft_experts": (Tokens(SoftExperts()), tokens(linear(8, 3, TOKENS), Counts(192, 192 * TOKENS))),
        "hard_experts": (
            Tokens(HardExperts()),
            tokens(linear(8, 3, TOKENS), params(3 * 72), macs(TOKENS * 64)),
        ),
        "tied": (Tokens(Tied()), tokens(linear(8, 8, 3 * TOKENS), macs(64 * TOKENS))),
        "fourier": (Tokens(Fourier()), tokens()),
        "complex": (Tokens(Complex()), tokens(Counts(2 * 64, 4 * 64 * TOKENS))),
        "bilinear": (nn.Sequential(stem(), Bilinear()), total(STEM, Counts(4 * 64 + 4, 4 * 64))),
        "prototypes": (nn.Sequential(stem(), Prototypes()), total(STEM, Counts(32, 32))),
        "flow": (Pooled(stem(), Coupling()), total(STEM, conv(8, 8, 1, 64, bias=False), conv(4, 8, 3, 64), HEAD)),
        "actnorm": (Pooled(stem(), ActNorm()), total(STEM, params(16 + 1), HEAD)),
        "vq_ema": (Pooled(stem(), Codebook()), total(STEM, Counts(5 * 8 + 5, 64 * 5 * 8), HEAD)),
        "observer": (Pooled(stem(), FakeQuantize()), total(STEM, params(1), HEAD)),
        "spectral_norm": (normalised(parametrizations.spectral_norm), total(conv_body, macs(72 * 8 + 8), HEAD)),
        "spectral_norm_old": (normalised(nn.utils.spectral_norm), total(conv_body, macs(72 * 8 + 8), HEAD)),
        "weight_norm": (normalised(parametrizations.weight_norm), total(conv_body, params(8), HEAD)),
        "weight_norm_old": (normalised(nn.utils.weight_norm), total(conv_body, params(8), HEAD)),
        "stochastic_depth": (
            Pooled(stem(), Residual(nn.Conv2d(8, 8, 3, 1, 1), nn.Dropout(0.5))),
            total(conv_body, HEAD),
        ),
    }
