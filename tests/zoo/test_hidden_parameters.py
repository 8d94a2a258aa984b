"""Hidden numbers: in state dicts, running statistics, bytes of wider types, numpy arrays and slots."""

from pathlib import Path

import pytest

from bench.contract.tracks import Caps
from bench.errors import ContractError
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_generator_spec, make_spec

HEAD = """
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from tests.zoo import generators
from tests.zoo.techniques import Config, Plain

TABLE = np.ones((768, 4), dtype=np.float32)
FAR = torch.ones(768, 768)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(4))
        {init}

    def forward(self, x):
        y = x.flatten(1).mean(1, keepdim=True) + self.bias
        {forward}
        return y

    {methods}


class Shown(Plain):
    def build_model(self, data):
        return Net()
    {submission}
"""
HIDDEN = "def begin(self, budget):\n        self.hidden = torch.ones(4, 768)\n    "
CASES = {
    "an extra key that the network keeps": (
        {
            "init": "self.f = None",
            "forward": "y = y if self.f is None else y + x.flatten(1) @ self.f().T",
            "methods": "def load_state_dict(self, state, *a, **k):\n"
            "        state = dict(state)\n        t = state.pop('h', None)\n        self.f = lambda: t\n"
            "        return super().load_state_dict(state, *a, **k)",
            "submission": HIDDEN + "def final_weights(self, model):\n"
            "        return {**model.state_dict(), 'h': self.hidden}",
        },
        r"h is not in the network",
    ),
    "an extra state": (
        {
            "init": "self.t = torch.zeros(4, 768)",
            "forward": "y = y + x.flatten(1) @ self.t.T",
            "methods": "def get_extra_state(self): return self.t\n    def set_extra_state(self, s): self.t = s",
        },
        "extra state, which no cap counts",
    ),
    "bytes of wider numbers": (
        {
            "init": "self.w = nn.Parameter(torch.zeros(4, 384, dtype=torch.float64), requires_grad=False)",
            "forward": "y = y + x.flatten(1) @ self.w.view(torch.float32).T",
        },
        "reads the bytes of 1,536 scalars as several numbers each",
    ),
    "numpy": (
        {"forward": "y = y + torch.from_numpy(x.detach().flatten(1).numpy() @ TABLE)"},
        "passes 768 numbers to numpy in predict or sample",
    ),
}


def write(folder: Path, code: dict[str, str], generator: bool = False) -> object:
    spec = make_generator_spec(folder) if generator else make_spec(folder)
    text = HEAD
    for name in ("init", "forward", "methods", "submission"):
        text = text.replace("{" + name + "}", code.get(name, "pass"))
    (spec.folder / "model.py").write_text(text)
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"caps": Caps()})})


@pytest.mark.parametrize("name", CASES)
def test_hidden_numbers_are_refused(tmp_path: Path, name: str) -> None:
    code, message = CASES[name]
    with pytest.raises(ContractError, match=message):
        Verifier(write(tmp_path, code)).run()


COUNTED = {
    "a constant buffer that only the final weights fill": {
        "init": "self.register_buffer('table', torch.zeros(4, 768))",
        "forward": "y = y + x.flatten(1) @ self.table.T",
        "submission": HIDDEN + "def final_weights(self, model):\n"
        "        return {**model.state_dict(), 'table': self.hidden}",
    },
    "running statistics of a layer that is never called": {
        "init": "self.bn = nn.BatchNorm1d(3072, affine=False)",
        "forward": "y = y + x.flatten(1) @ self.bn.running_mean.view(4, 768).T",
        "submission": "def update(self, loss, step):\n        self.model.bn.running_mean += 1",
    },
    "a critic behind slots, trained by hand": {
        "submission": "def begin(self, budget):\n"
        "        class Box:\n            __slots__ = ('critic',)\n"
        "        self.box = Box()\n        self.box.critic = nn.Linear(767, 4)\n"
        "    def loss(self, images, labels):\n"
        "        return super().loss(images, labels) + self.box.critic(torch.ones(1, 767)).mean()",
    },
    "a critic that comes later": {
        "submission": "def begin(self, budget):\n        self.critic, self.calls = nn.Linear(767, 4), 0\n"
        "    def loss(self, images, labels):\n        self.calls += 1\n"
        "        more = self.critic(torch.ones(1, 767)).mean() if self.calls > 1 else 0\n"
        "        return super().loss(images, labels) + more",
    },
}


@pytest.mark.parametrize("name", COUNTED)
def test_hidden_parameters_are_counted(tmp_path: Path, name: str) -> None:
    report = Verifier(write(tmp_path, COUNTED[name])).run()
    assert report.cost is not None and report.cost.params == 4 + 3072


SAMPLER = """
from tests.zoo import generators
from tests.zoo.generators import *
FAR = torch.ones(PIXELS, PIXELS)


class Net(Denoiser):
    def forward(self, x, time):
        {late}
        return super().forward(x, time)


class Shown(FloatTime):
    STEPS = 100
    def build_model(self, data):
        return Net()
"""


def sampler(folder: Path, late: str) -> Verifier:
    spec = make_generator_spec(folder)
    (spec.folder / "model.py").write_text(SAMPLER.replace("{late}", late))
    return Verifier(spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"caps": Caps()})}))


def test_later_steps_of_a_sampler_may_cost_more(tmp_path: Path) -> None:
    cost = (
        sampler(
            tmp_path,
            "for _ in range(9 if isinstance(time, float) and time > 0.5 else 0): super().forward(x, time)",
        )
        .run()
        .cost
    )
    assert cost is not None
    evaluation_macs = 2 * 4 * 768
    # Not less than the true cost: the most expensive call stands for those that are not computed.
    assert cost.macs_per_image >= (50 + 50 * 10) * evaluation_macs
    assert cost.warnings and "fvcore counts" in cost.warnings[0]


def test_external_tensor_of_later_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="reads 589,824 scalars from external tensors"):
        sampler(tmp_path, "x = x @ FAR if isinstance(time, float) and time > 0.3 else x").run()


def test_sampler_may_use_gradients_of_its_network(tmp_path: Path) -> None:
    """Langevin dynamics on an energy: every step needs a gradient."""
    spec = make_generator_spec(tmp_path)
    (spec.folder / "model.py").write_text("""
from tests.zoo.generators import *


class Shown(FloatTime):
    def build_model(self, data):
        return Denoiser()
    @classmethod
    def sample(cls, model, labels, generator):
        x = torch.randn(len(labels), PIXELS, generator=generator)
        for _ in range(20):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(model(x, 0.5).square().sum(), x)
            x = x - 0.1 * gradient
        return as_bytes(x.detach())
""")
    report = Verifier(
        spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"caps": Caps()})})
    ).run()
    assert report.problems == [] and report.cost is not None
    forward = 2 * 4 * 768
    assert report.cost.evaluations_per_sample == 20 and report.cost.macs_per_image == 20 * 2 * forward


def test_lazy_layer_without_a_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"lazy.weight has no shape yet .* call the network once on zeros"):
        Verifier(write(tmp_path, {"init": "self.lazy = nn.LazyLinear(4)"})).run()


def test_final_weights_of_none_or_of_a_wrapper_are_refused(tmp_path: Path) -> None:
    none = {"submission": "def final_weights(self, model): return None"}
    with pytest.raises(ContractError, match="final_weights returned NoneType; it must return a state dict"):
        Verifier(write(tmp_path, none)).run()
    (tmp_path / "wrapped").mkdir()
    wrapped = {
        "submission": "def begin(self, b): self.ema = torch.optim.swa_utils.AveragedModel(self.model)\n"
        "    def final_weights(self, model): return self.ema.state_dict()"
    }
    with pytest.raises(ContractError, match=r"module.bias is not in the network.*ema.module.state_dict"):
        Verifier(write(tmp_path / "wrapped", wrapped)).run()
