"""Verification counts parameters and operations exactly, and finds faults before a training starts."""

from pathlib import Path

import pytest

from bench.contract.jobs.reports import Verification
from bench.errors import ContractError
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_generator_spec, make_spec

PARAMS = 8 * 27 + 8 + 16 + 8 * 4 + 4


def verify(folder: Path, changes: dict[str, str] | None = None, **fields: object) -> Verification:
    return Verifier(make_spec(folder, changes=changes, **fields)).run()


def test_costs_of_a_small_network_are_exact(tmp_path: Path) -> None:
    report = verify(tmp_path)
    assert report.problems == [] and report.cost is not None
    assert report.cost.params == PARAMS and sum(report.cost.params_by_module.values()) == PARAMS
    assert report.cost.inference_buffers == 8 + 8 + 1 + 6  # running statistics, their counter, normalisation
    # 8x8 positions of 8 filters of 3x3x3, and the linear layer.
    assert report.cost.macs_per_image == 64 * 8 * 27 + 8 * 4
    # Forward, and backward to the weights; to the input for the linear layer only.
    assert report.cost.training_flops_per_step == 2 * 16 * (2 * 64 * 8 * 27 + 3 * 8 * 4)
    assert report.config == {"batch_size": 16, "learning_rate": 0.01, "width": 8}
    assert report.training_steps_per_s is None


def test_speed_is_measured_beyond_the_end_of_a_schedule(tmp_path: Path) -> None:
    # The OneCycle schedule raises in a thirteenth step.
    report = verify(tmp_path, speed_seconds=0.2, speed_images=64)
    assert report.problems == []
    assert report.training_steps_per_s is not None and report.training_steps_per_s.blocks >= 10
    assert report.inference_images_per_s is not None and report.inference_images_per_s.items_per_call == 64
    for rate in (report.training_steps_per_s, report.inference_images_per_s):
        assert rate.background_load is not None and 0 <= rate.background_load <= 1


def test_overrides_change_the_config(tmp_path: Path) -> None:
    report = verify(tmp_path, overrides={"width": 4})
    assert report.config["width"] == 4 and report.cost is not None
    assert report.cost.params == 4 * 27 + 4 + 8 + 4 * 4 + 4


DISCRIMINATOR = {
    "init": "self.critic = nn.Linear(4, 1)\nself.other = torch.optim.SGD(self.critic.parameters(), 0.1)",
    "step": "self.critic(logits.detach()).mean().backward(); self.other.step()",
}
BY_HAND = {
    "init": "self.critic = nn.Linear(4, 1)",
    "step": (
        "weight = self.critic.weight\n"
        "(gradient,) = torch.autograd.grad(self.critic(logits.detach()).mean(), [weight])\n"
        "with torch.no_grad(): weight -= 0.1 * gradient"
    ),
}
EMA = {"init": "import copy\nself.shadow = copy.deepcopy(model)"}
AVERAGED = {
    "init": "self.shadow = torch.optim.swa_utils.AveragedModel(model)",
    "step": "self.shadow.update_parameters(self.model)",
}
FROZEN_TEACHER = {"init": "self.teacher = nn.Linear(100, 100).requires_grad_(False)"}


@pytest.mark.parametrize(
    ("changes", "extra"),
    [(DISCRIMINATOR, 5), (BY_HAND, 5), (EMA, 0), (AVERAGED, 0), (FROZEN_TEACHER, 0)],
    ids=["discriminator", "trained by hand", "deep copy", "averaged model", "frozen teacher"],
)
def test_auxiliary_network_counts_only_if_training_changes_it(
    tmp_path: Path, changes: dict[str, str], extra: int
) -> None:
    report = verify(tmp_path, changes)
    assert report.cost is not None and report.cost.params == PARAMS + extra


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"init": "self.box = {'a': [torch.ones(3, requires_grad=True)]}"},
            r"self.box\['a'\]\[0\] is a trainable",
        ),
        ({"network": "self.box = [torch.ones(3, requires_grad=True)]"}, r"model.box\[0\] is a trainable"),
        ({"network": "self.box = [nn.Linear(4, 4)]"}, r"model.box\[0\].weight is a trainable"),
        ({"step": "self.late = 1"}, "self.late is created in train_step"),
        (
            {
                "network": "self.plain = torch.zeros(4)",
                "step": "self.model.plain = self.model.plain + 1",
                "forward": "logits = logits + self.plain",
            },
            "a plain tensor",
        ),
        ({"step": "return loss"}, "train_step returned Tensor"),
        ({"step": "return {'loss': 0.5}"}, "returned 'loss' as float"),
        ({"step": "return {'loss': logits}"}, r"returned 'loss' as \(16, 4\)"),
        ({"loss": "loss = loss * float('inf')"}, "a loss of inf in its first step"),
        ({"predict": "return logits.argmax(1)"}, "predict returned"),
    ],
)
def test_invalid_submission_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        verify(tmp_path, changes)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (
            "torch.zeros(4, dtype=torch.complex128)",
            "'odd' is torch.complex128 torch.strided, which safetensors",
        ),
        ("torch.full((4,), complex(float('nan'), 0))", "'odd' has values that are not finite"),
        ("torch.full((4,), complex(0, float('inf')))", "'odd' has values that are not finite"),
        ("torch.full((4,), float('inf'))", "'odd' has values that are not finite"),
    ],
)
def test_unsupported_or_non_finite_weights_are_refused(tmp_path: Path, weight: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        verify(tmp_path, {"network": f"self.odd = nn.Parameter({weight})"})


def test_infinite_mask_buffer_is_allowed(tmp_path: Path) -> None:
    mask = "self.register_buffer('mask', torch.full((4, 4), float('-inf')).triu(1))"
    assert verify(tmp_path, {"network": mask}).problems == []


def test_final_weights_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    text = (spec.folder / "model.py").read_text()
    (spec.folder / "model.py").write_text(
        text.replace("return self.ema", "return {**self.ema, 'extra': self.ema['head.bias']}")
    )
    with pytest.raises(ContractError, match="do not fit build_model.*extra"):
        Verifier(spec).run()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "class Tiny(Classifier[Config])",
            "class Tiny(object)",
            r"subclasses of bench.Classifier found: none; a classification track needs exactly one",
        ),
        ("def train_step(self", "def train_steps(self", "does not implement train_step"),
        ("frozen=True, kw_only=True", "kw_only=True", "Config is not frozen"),
        ("class Config:", "class Settings:", "no dataclass `Config`"),
        ("batch_size: int = 16", "batch_size: int = 0", "Config.batch_size is 0"),
        ("batch_size: int = 16", "batch_size: int", "needs a default"),
        ("return Network(data, self.config.width)", "return 3", "build_model returned int"),
    ],
)
def test_broken_interface_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    spec = make_spec(tmp_path)
    text = (spec.folder / "model.py").read_text().replace("Classifier[Config])", "Classifier[Config])")
    assert old in text
    (spec.folder / "model.py").write_text(text.replace(old, new).replace("Classifier[Settings]", "Classifier"))
    with pytest.raises((ContractError, NameError), match=message if "Settings" not in new else "Config"):
        Verifier(spec).run()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"widht": 4}, "no field 'widht'; its fields are batch_size, learning_rate, width"),
        ({"width": "four"}, "Config.width is set to 'four'; .* must be of type int"),
    ],
)
def test_misspelt_or_mistyped_override_is_refused(
    tmp_path: Path, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        verify(tmp_path, overrides=overrides)


def test_variant_over_a_cap_is_measured_and_marked(tmp_path: Path) -> None:
    report = verify(tmp_path, variant="wide", overrides={"width": 80}, steps=24)
    assert report.problems == [] and report.cost is not None
    assert report.over_caps[0].startswith("2,724 params, cap 2,000")
    assert report.over_caps[1] == "24 steps, budget 12"


def test_submission_over_a_cap_is_refused(tmp_path: Path) -> None:
    report = verify(tmp_path, overrides={"width": 80}, steps=24)
    assert [problem.status for problem in report.problems] == ["cap", "cap"] and report.over_caps == []


def test_network_evaluations_of_a_sampler_are_counted(tmp_path: Path) -> None:
    report = Verifier(make_generator_spec(tmp_path, overrides={"evaluations": 500}, speed_seconds=0.2)).run()
    assert report.problems == [] and report.cost is not None
    assert report.cost.evaluations_per_sample == 500 and report.cost.macs_per_image == 500 * 32
    assert report.inference_images_per_s is not None and report.inference_images_per_s.items_per_call == 16


def test_nondeterministic_sampler_is_refused(tmp_path: Path) -> None:
    spec = make_generator_spec(tmp_path, {"evaluated": "x = x + torch.randn(4)"})
    with pytest.raises(ContractError, match="gives other outputs than the trained network"):
        Verifier(spec).run()
