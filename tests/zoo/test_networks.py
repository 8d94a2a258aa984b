"""Networks of the field verify, with the costs of their closed forms."""

import warnings
from pathlib import Path

import pytest
from torch import nn

from bench.contract.tracks import Caps
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_spec
from tests.zoo.convolutional import convolutional
from tests.zoo.counts import Counts
from tests.zoo.sequential import sequential

MODEL = """
from dataclasses import dataclass
import torch
from bench import Classifier
from tests.zoo.test_networks import networks


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 8
    network: str = ""


class Shown(Classifier[Config]):
    def build_model(self, data):
        return networks()[self.config.network][0]

    def init_training(self, model, budget):
        self.model, self.optimizer = model, torch.optim.AdamW(model.parameters(), 1e-3)

    def train_step(self, batch, step):
        loss = torch.nn.functional.cross_entropy(self.model(batch.images / 255), batch.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    @staticmethod
    def predict(model, images):
        return model(images / 255)
"""
UNCOUNTED = {"fourier": "_fft_c2c"}


def networks() -> dict[str, tuple[nn.Module, Counts]]:
    """Return new instances of all networks, more than fifty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old weight_norm is deprecated, and still in use
        return {**convolutional(), **sequential()}


@pytest.mark.parametrize("name", networks())
def test_network_verifies_with_the_costs_of_its_closed_form(tmp_path: Path, name: str) -> None:
    spec = make_spec(tmp_path, overrides={"network": name})
    (spec.folder / "model.py").write_text(MODEL)
    uncapped = spec.protocol.model_copy(update={"caps": Caps()})
    report = Verifier(spec.model_copy(update={"protocol": uncapped})).run()
    assert report.problems == [] and report.warnings == [] and report.cost is not None
    expected = networks()[name][1]
    assert (report.cost.params, report.cost.macs_per_image) == expected
    assert set(report.cost.uncounted_operators) == ({UNCOUNTED[name]} if name in UNCOUNTED else set())
    assert "bit-identical resume from a checkpoint" in report.tested and "batch independence" in report.tested
