"""Training techniques of the field verify: exact costs, no hidden parameters, bit-identical resume."""

import re
from pathlib import Path

import pytest

from bench.contract.jobs.reports import Verification
from bench.contract.tracks import Caps
from bench.errors import ContractError
from bench.job.main import to_failure
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_spec
from tests.zoo.counts import conv, linear, norm, total
from tests.zoo.techniques import TECHNIQUES, Plain

COUNTS = total(conv(3, 8, 3, 64), norm(8), conv(8, 8, 3, 64), linear(8, 4))
SMALL = total(conv(3, 8, 3, 64), linear(8, 4))


def verify(folder: Path, body: str) -> Verification:
    spec = make_spec(folder)
    (spec.folder / "model.py").write_text(body)
    uncapped = spec.protocol.model_copy(update={"caps": Caps()})
    return Verifier(spec.model_copy(update={"protocol": uncapped})).run()


def subclass_source(technique: str, body: str = "    pass") -> str:
    return (
        "import torch\nfrom torch import nn\n"
        "from tests.zoo import techniques\nfrom tests.zoo.techniques import Config\n"
        f"class Shown(techniques.{technique}):\n{body}\n"
    )


@pytest.mark.parametrize("technique", [kind.__name__ for kind in TECHNIQUES])
def test_technique_verifies_with_exact_costs(tmp_path: Path, technique: str) -> None:
    report = verify(tmp_path, subclass_source(technique))
    assert report.problems == [] and report.warnings == [] and report.cost is not None
    assert (report.cost.params, report.cost.macs_per_image) == (SMALL if technique == "Private" else COUNTS)
    assert "bit-identical resume from a checkpoint" in report.tested
    uncounted = {"_linalg_eigh"} if technique == "Shampoo" else set()
    assert set(report.cost.uncounted_in_training or {}) == uncounted


# State that submissions forget or hide, so that no checkpoint contains it.
UNSAVED_STATE = {
    "object with an empty state dict": """
    def begin(self, budget):
        class Hidden:
            def __init__(self): self.count = 0
            def state_dict(self): return {}
            def load_state_dict(self, state): pass
        self.hidden = [Hidden()]
        self.hidden[0].deep = [0.0]
    def update(self, loss, step):
        self.hidden[0].deep[0] += 1.0
        self.optimizer.param_groups[0]["lr"] = 0.1 / self.hidden[0].deep[0]
        self.optimizer.step()
""",
    "number in a closure": """
    def begin(self, budget):
        count = 0
        def rate():
            nonlocal count
            count += 1
            return 0.1 / count
        self.rate = rate
    def update(self, loss, step):
        self.optimizer.param_groups[0]["lr"] = self.rate()
        self.optimizer.step()
""",
    "global list": """
    def update(self, loss, step):
        SEEN.append(step)
        self.optimizer.param_groups[0]["lr"] = 0.1 / len(SEEN)
        self.optimizer.step()
""",
}


@pytest.mark.parametrize("body", UNSAVED_STATE.values(), ids=UNSAVED_STATE)
def test_state_missing_from_the_checkpoint_is_detected(tmp_path: Path, body: str) -> None:
    with pytest.raises(
        ContractError, match=r"resumed training differs from an uninterrupted one: after one more step .* differs"
    ):
        verify(tmp_path, "SEEN = []\n" + subclass_source("Plain", body))


@pytest.mark.parametrize(
    ("value", "kind"),
    [("iter([1, 2])", "list_iterator"), ("(i for i in [1])", "generator"), ("object()", "object")],
)
def test_attribute_that_cannot_be_checkpointed_is_refused(tmp_path: Path, value: str, kind: str) -> None:
    body = f"    def begin(self, budget):\n        self.odd = {{'x': [{value}]}}\n"
    with pytest.raises(
        ContractError, match=re.escape(f"self.odd['x'][0] is a {kind}, which cannot be checkpointed")
    ):
        verify(tmp_path, subclass_source("Plain", body))


@pytest.mark.parametrize("technique", ["Muon", "LBFGS", "Evolution"])
def test_view_on_channels_last_fails_with_cause_and_remedy(tmp_path: Path, technique: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        verify(tmp_path, subclass_source(technique, "    memory_format = torch.channels_last"))
    failure = to_failure(caught.value, tmp_path)
    assert "write reshape instead of view" in failure.reason
    assert "memory_format = torch.contiguous_format" in failure.reason


def test_network_of_the_torch_tutorial_needs_contiguous_format(tmp_path: Path) -> None:
    """Its ``x.view(-1, 16 * 5 * 5)`` needs torch's default memory format."""
    body = """
    memory_format = torch.contiguous_format
    def build_model(self, data):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.fc = nn.Conv2d(3, 6, 5), nn.Linear(6 * 12 * 12, 4)
            def forward(self, x):
                return self.fc(torch.relu(self.conv(x)).view(-1, 6 * 12 * 12))
        return Net()
"""
    assert verify(tmp_path, subclass_source("Plain", body)).problems == []
    (tmp_path / "again").mkdir()
    with pytest.raises(RuntimeError) as caught:
        verify(
            tmp_path / "again",
            subclass_source("Plain", body.replace("memory_format = torch.contiguous_format", "pass")),
        )
    assert "write reshape instead of view" in to_failure(caught.value, tmp_path).reason


def test_unsupported_memory_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"memory_format is torch.preserve_format; it must be"):
        verify(tmp_path, subclass_source("Plain", "    memory_format = torch.preserve_format"))


def test_excess_optimizer_steps_are_a_warning_of_verification(tmp_path: Path) -> None:
    body = "    def update(self, loss, step):\n        for _ in range(5):\n            self.optimizer.step()"
    report = verify(tmp_path, subclass_source("Plain", body))
    assert report.problems == []
    assert report.warnings[0].startswith("optimizer self.optimizer took 10 steps in 2 calls of train_step")


def test_critic_hidden_in_a_callable_is_counted(tmp_path: Path) -> None:
    body = """
    def begin(self, budget):
        import functools
        critic = nn.Linear(4, 4)
        class Called:
            def __init__(self): self.critic = critic
            def __call__(self, x): return self.critic(x)
            def method(self, x): return self.critic(x)
        self.call = {call}
    def loss(self, images, labels):
        return super().loss(images, labels) + self.call(torch.ones(1, 4)).mean()
"""
    expected = COUNTS.params + 20
    for number, call in enumerate(
        ("Called()", "Called().method", "lambda x: critic(x)", "functools.partial(critic.forward)")
    ):
        (tmp_path / str(number)).mkdir()
        report = verify(tmp_path / str(number), subclass_source("Plain", body.replace("{call}", call)))
        assert report.cost is not None and report.cost.params == expected


def test_at_least_20_techniques_are_tested() -> None:
    assert len(TECHNIQUES) >= 20 and all(issubclass(kind, Plain) for kind in TECHNIQUES)
