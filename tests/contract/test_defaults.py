"""Defaults of submissions: the training of a classifier, and sampling by decoding latents."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.contract.fingerprint import sources_of
from bench.contract.jobs.files import WEIGHTS
from bench.errors import ContractError
from bench.job.loading import load_submission
from bench.job.phases.training import Trainer
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_generator_spec, make_spec
from tests.making import write_generator, write_submission

HEAD = """
from dataclasses import dataclass

import torch
from torch import nn

from bench import Batch, Budget, Classifier, DataSpec
from bench.augment import random_flip
from reference_models import cross_entropy_step


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 16


class Network(nn.Sequential):
    def forward(self, images):
        return super().forward(images.float() / 255)


class Mine(Classifier[Config]):
    def build_model(self, data: DataSpec):
        return Network(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))
"""
HEAD = HEAD.replace("nn.LazyLinear(4)", "nn.Linear(8 * 49, 4)")
WITH_DEFAULTS = (
    HEAD
    + """
    def configure_optimizer(self, model, budget: Budget):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, budget.steps)

    def augment(self, images):
        return random_flip(images)
"""
)
EXPLICIT = (
    HEAD
    + """
    def init_training(self, model, budget: Budget):
        self.network = model
        self.sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        self.cosine = torch.optim.lr_scheduler.CosineAnnealingLR(self.sgd, budget.steps)

    def train_step(self, batch: Batch, step: int):
        values = cross_entropy_step(self.network, self.sgd, random_flip(batch.images), batch.labels)
        self.cosine.step()
        return values
"""
)
SCHEDULE = "optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, budget.steps)"
WITHOUT_SCHEDULE = WITH_DEFAULTS.replace(SCHEDULE, "optimizer")
DEFAULTS = "bench/contract/defaults.py"


def write_model(folder: Path, text: str) -> Path:
    path = folder / "tiny_net" / "model.py"
    if not path.exists():
        write_submission(folder, "tiny_net")
    path.write_text(text)
    return path


def trained(folder: Path, text: str) -> dict[str, torch.Tensor]:
    folder.mkdir()
    spec = make_spec(folder)
    write_model(folder, text)
    Trainer(spec).run()
    return load_file(spec.work / WEIGHTS)


def test_default_training_is_bit_identical_to_the_explicit_form(tmp_path: Path) -> None:
    default, explicit, constant = (
        trained(tmp_path / name, text)
        for name, text in (("default", WITH_DEFAULTS), ("explicit", EXPLICIT), ("constant", WITHOUT_SCHEDULE))
    )
    assert default.keys() == explicit.keys() and all(
        torch.equal(default[name], explicit[name]) for name in explicit
    )
    # The default training steps the schedule.
    assert any(not torch.equal(constant[name], explicit[name]) for name in explicit)


def test_classifier_with_default_training_verifies(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    write_model(tmp_path, WITH_DEFAULTS)
    verification = Verifier(spec).run()
    assert not verification.problems and "bit-identical resume from a checkpoint" in verification.tested


@pytest.mark.parametrize(
    ("text", "uses_defaults"),
    [
        (WITH_DEFAULTS, True),
        (EXPLICIT, False),
        (EXPLICIT.replace("def init_training", "def prepare"), True),
        (EXPLICIT.replace("        return values", "        return super().train_step(batch, step)"), True),
        (
            EXPLICIT.replace("        return values", "        return Classifier.train_step(self, batch, step)"),
            True,
        ),
        (EXPLICIT.replace("        return values", "        self.loss(batch.images, batch.labels)"), True),
        (
            EXPLICIT.replace(
                "        return values", "        return {'loss': self.loss()}\n\n    def loss(self): pass"
            ),
            False,
        ),
        (EXPLICIT.replace("self.cosine.step()", "torch.randn(3).loss = super().__init__"), False),
        (EXPLICIT.replace("Classifier[Config]", "bench.Classifier[Config]"), False),
        (
            EXPLICIT.replace(
                "class Mine(", "class Other(nn.Module):\n    def sample(self): pass\n\n\nclass Mine("
            ),
            False,
        ),
    ],
)
def test_code_hash_includes_the_defaults_only_if_they_are_used(
    tmp_path: Path, text: str, uses_defaults: bool
) -> None:
    assert (DEFAULTS in sources_of(write_model(tmp_path, text))) == uses_defaults


def test_generator_without_sample_uses_the_defaults(tmp_path: Path) -> None:
    path = write_generator(tmp_path, "mine") / "model.py"
    assert DEFAULTS not in sources_of(path)
    path.write_text(path.read_text().replace("def sample(", "def draw("))
    assert DEFAULTS in sources_of(path)


@pytest.mark.parametrize(
    "folder", sorted(Path(__file__).parents[2].glob("submissions/*")), ids=lambda path: path.name
)
def test_committed_submissions_do_not_use_the_defaults(folder: Path) -> None:
    if (folder / "model.py").exists():
        assert DEFAULTS not in sources_of(folder / "model.py")


def test_default_sample_decodes_latents_with_plain_or_static_methods(tmp_path: Path) -> None:
    plain = {"    @staticmethod\n    def latent(model": "    def latent(self, model",
             "    @staticmethod\n    def decode(model": "    def decode(self, model"}  # fmt: skip
    verified = []
    for name, changes in (("static", {}), ("plain", plain)):
        (tmp_path / name).mkdir()
        spec = make_generator_spec(tmp_path / name)
        path = spec.folder / "model.py"
        text = path.read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        if changes:
            start = text.index("    @staticmethod\n    def sample(")
            text = text[:start] + text[text.index("    def latent(") :]
        path.write_text(text)
        verified.append(Verifier(spec).run())
    assert [v.problems for v in verified] == [[], []]
    assert verified[0].cost == verified[1].cost and verified[0].tested == verified[1].tested


def test_predict_cannot_read_attributes_set_by_training(tmp_path: Path) -> None:
    """A plain method could read attributes set by training; evaluation would fail only after the training."""
    spec = make_spec(tmp_path)
    reads = "\n    def predict(self, model, images):\n        return model(images) + self.schedule.last_epoch\n"
    write_model(tmp_path, WITH_DEFAULTS + reads)
    with pytest.raises(ContractError, match=r"reads self\.schedule, which only training sets"):
        Verifier(spec).run()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, r"Mine does not implement configure_optimizer \(or init_training and train_step\)"),
        (EXPLICIT.replace("def train_step", "def train_steps"), "does not implement train_step; define it"),
        (EXPLICIT.replace("def init_training", "def init"), "does not implement init_training; define it"),
        (HEAD.replace("def build_model", "def build"), "does not implement build_model, configure_optimizer"),
        (WITH_DEFAULTS.replace("build_model", "build"), "does not implement build_model; define it"),
    ],
)
def test_missing_methods_are_named_with_their_alternative(tmp_path: Path, text: str, message: str) -> None:
    path = write_model(tmp_path, text)
    with pytest.raises(ContractError, match=message):
        load_submission(path.parent, "classification", {})


def test_generator_without_sampling_methods_is_refused(tmp_path: Path) -> None:
    path = write_generator(tmp_path, "mine") / "model.py"
    path.write_text(path.read_text().replace("def sample(", "def draw(").replace("def decode(", "def make("))
    with pytest.raises(ContractError, match=r"does not implement latent and decode \(or sample\)"):
        load_submission(path.parent, "generation", {})
