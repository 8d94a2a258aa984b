"""A resumed run is bit-identical to an uninterrupted one, for every kind of state of a submission."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.contract.jobs.files import WEIGHTS
from bench.contract.tracks import Caps
from bench.job.phases.training import train
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_spec
from tests.zoo.techniques import TECHNIQUES

HEAD = """
import collections
from collections import Counter, defaultdict, deque
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from tests.zoo import techniques
from tests.zoo.techniques import Config, Plain

Play = collections.namedtuple("Play", "image loss")


class Note:
    def __init__(self, value):
        self.value = value
"""
CLASS_BODIES = {
    "unfreezes half way": """
    def begin(self, budget):
        self.model.body.requires_grad_(False)
    def update(self, loss, step):
        self.optimizer.step()
        if step == 4: self.model.body.requires_grad_(True)
""",
    "freezes a normalisation half way": """
    def update(self, loss, step):
        self.optimizer.step()
        if step == 4: self.model.body[1].eval()
""",
    "number and tensor on a separate module": """
    def begin(self, budget):
        self.scale = nn.Identity()
        self.scale.tau, self.scale.centre = 1.0, torch.zeros(4)
    def loss(self, images, labels):
        logits = self.model(images)
        self.scale.tau *= 0.9
        self.scale.centre = 0.9 * self.scale.centre + 0.1 * logits.detach().mean(0)
        return F.cross_entropy((logits - self.scale.centre) / self.scale.tau, labels)
""",
    "best weights, initially the live weights": """
    def begin(self, budget):
        self.best, self.least = self.model.state_dict(), 1e9
    def update(self, loss, step):
        self.optimizer.step()
        if step >= 3 and loss.item() < self.least:
            self.least = loss.item()
            self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
""",
    "state dict reassigned in every step": """
    def update(self, loss, step):
        self.optimizer.step()
        self.now = self.model.state_dict()
    def begin(self, budget):
        self.now = self.model.state_dict()
""",
    "one tensor under several attributes": """
    def begin(self, budget):
        zero = torch.zeros(())
        self.a, self.b, self.many = zero, zero, [zero] * 4
    def update(self, loss, step):
        self.a = self.a + 1
        self.many[step % 4] = self.many[step % 4] + step
        self.optimizer.param_groups[0]["lr"] = 0.1 / (1 + float(self.a + self.b + sum(self.many)))
        self.optimizer.step()
""",
    "array and a view of it": """
    def begin(self, budget):
        self.all = np.zeros(4)
        self.part = self.all[:2]
    def update(self, loss, step):
        self.part += 1
        self.optimizer.param_groups[0]["lr"] = 0.1 / (1 + self.all.sum())
        self.optimizer.step()
""",
    "tensor and a view of it": """
    def begin(self, budget):
        self.all = torch.zeros(4)
        self.part = self.all[1:3]
    def update(self, loss, step):
        self.part += 1
        self.optimizer.param_groups[0]["lr"] = 0.1 / (1 + float(self.all.sum()))
        self.optimizer.step()
""",
    "queues of named tuples, objects and queues": """
    def begin(self, budget):
        self.plays, self.notes = deque(maxlen=3), []
        self.each, self.hits = defaultdict(lambda: deque(maxlen=2)), {}
    def update(self, loss, step):
        value = loss.item()
        self.plays.append(Play(torch.zeros(2), value))
        self.notes.append(Note(value))
        self.each[step % 2].append(value)
        self.hits.setdefault("all", Counter())[step % 3] += 1
        total = sum(play.loss for play in self.plays) + self.notes[0].value + sum(self.each[0])
        self.optimizer.param_groups[0]["lr"] = 0.1 / (1 + total + self.hits["all"].most_common()[0][1])
        self.optimizer.step()
""",
    "an embedding with sparse gradients": """
    def build_model(self, data):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.codes = nn.Embedding(64, 4, sparse=True)
            def forward(self, x):
                return self.codes((x * 63).long().clamp(0, 63)).mean((1, 2, 3))
        return Net()
    def make_optimizer(self, model):
        return torch.optim.SparseAdam(model.parameters(), 0.01)
    def begin(self, budget): pass
""",
    "kernels of five dimensions": """
    def build_model(self, data):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.kernels = nn.Parameter(torch.randn(2, 4, 3, 3, 3) / 9)
            def forward(self, x):
                return sum(F.conv2d(x, kernel).mean((2, 3)) for kernel in self.kernels)
        return Net()
""",
    "torch's quantisation-aware training": """
    def build_model(self, data):
        import torch.ao.quantization as quantization
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
        net.qconfig = quantization.get_default_qat_qconfig("fbgemm")
        return quantization.prepare_qat(net.train())
    def final_weights(self, model):
        state = model.state_dict()
        return {k: torch.zeros_like(v) if "observer_enabled" in k else v for k, v in state.items()}
""",
    "cached activations and buffers registered in forward": """
    def build_model(self, data):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.cache = nn.Conv2d(3, 4, 3), None
            def forward(self, x):
                if self.cache is None:
                    self.register_buffer("ramp", torch.linspace(0, 1, 4), persistent=False)
                    self.cache = torch.ones(4)
                y = self.conv(x).mean((2, 3))
                self.shown = y.detach()
                return y * self.cache + self.ramp
        return Net()
""",
}


def write(folder: Path, name: str, source: str, **fields: object) -> object:
    spec = make_spec(folder, name, **fields)
    (spec.folder / "model.py").write_text(source)
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"caps": Caps()})})


SOURCES = {name: f"{HEAD}\nclass Shown(Plain):\n{body}" for name, body in CLASS_BODIES.items()}
SOURCES |= {kind.__name__: f"{HEAD}\nclass Shown(techniques.{kind.__name__}):\n    pass\n" for kind in TECHNIQUES}


@pytest.mark.filterwarnings("ignore:.*quantization:DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", CLASS_BODIES)
def test_submission_verifies(tmp_path: Path, name: str) -> None:
    report = Verifier(write(tmp_path, "shown", SOURCES[name])).run()
    assert report.problems == [] and report.warnings == []
    assert "bit-identical resume from a checkpoint" in report.tested


@pytest.mark.filterwarnings("ignore:.*quantization:DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", SOURCES)
def test_run_interrupted_twice_is_bit_identical(tmp_path: Path, name: str) -> None:
    uninterrupted = write(tmp_path, "uninterrupted", SOURCES[name])
    train(uninterrupted)
    resumed = write(tmp_path, "resumed", SOURCES[name], checkpoint_seconds=0.0)
    for until in (2, 7, None):
        train(resumed.model_copy(update={"until": until}))
    first, second = (load_file(spec.work / WEIGHTS) for spec in (uninterrupted, resumed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
