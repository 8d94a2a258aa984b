"""Generators of the field verify with exact counts, whatever their sampler is like."""

from pathlib import Path

import pytest

from bench.contract.jobs.reports import EvaluationReport, Verification
from bench.contract.records.record import Cost
from bench.contract.tracks import Caps
from bench.harness.results.recording import as_sampled
from bench.job.phases.training import Trainer
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_generator_spec
from tests.zoo.counts import conv, linear, params, total
from tests.zoo.generators import GENERATORS, PIXELS

MODEL = """
from tests.zoo import generators
from tests.zoo.generators import Config
class Shown(generators.{name}):
    pass
"""
REST = {"batch_independent": None, "batch_dependence": None, "seconds": 1.0, "peak_memory_bytes": 1}
DENOISER = total(linear(PIXELS, 4), linear(4, PIXELS))
OF_GENERATOR = linear(8, PIXELS)
# What counts against the cap, and the network evaluations of a sample.
EXPECTED = {
    "Adversarial": (total(OF_GENERATOR, params(PIXELS + 1)), 1),
    "GradientPenalty": (total(OF_GENERATOR, params(4 * PIXELS + 4 + 5)), 1),
    "R1": (total(OF_GENERATOR, params(conv(3, 4, 4, 16).params + 65)), 1),
    "Spectral": (total(OF_GENERATOR, params(PIXELS + 1)), 1),
    "FlowMatching": (DENOISER, 20),
    "FloatTime": (DENOISER, 20),
    "IntegerTime": (DENOISER, 1000),
    "ScalarTime": (DENOISER, 20),
    "Adaptive": (DENOISER, None),
}


def verify(folder: Path, name: str) -> Verification:
    spec = make_generator_spec(folder)
    (spec.folder / "model.py").write_text(MODEL.format(name=name))
    free = spec.protocol.model_copy(update={"caps": Caps()})
    return Verifier(spec.model_copy(update={"protocol": free})).run()


@pytest.mark.parametrize("name", [kind.__name__ for kind in GENERATORS])
def test_it_verifies(tmp_path: Path, name: str) -> None:
    found = verify(tmp_path, name)
    assert found.problems == [] and found.warnings == [] and found.cost is not None
    (count, macs), evaluations = EXPECTED[name]
    if evaluations is None:
        assert found.cost.evaluations_per_sample > 2
        evaluations = int(found.cost.evaluations_per_sample)
    assert (found.cost.params, found.cost.evaluations_per_sample) == (count, evaluations)
    assert found.cost.macs_per_image == evaluations * macs == found.cost.fvcore_macs_per_image
    assert found.cost.warnings == [] and found.cost.uncounted_operators == {}
    assert "bit-identical resume from a checkpoint" in found.tested


def test_its_network_is_of_its_own_class_at_the_end_of_training_too(tmp_path: Path) -> None:
    spec = make_generator_spec(tmp_path)
    (spec.folder / "model.py").write_text(
        MODEL.format(name="FloatTime").replace(
            "    pass",
            "    def build_model(self, data): return Own()\n"
            "    @classmethod\n    def sample(cls, model, labels, generator):\n"
            "        assert isinstance(model, Own)\n        return super().sample(model, labels, generator)\n"
            "class Own(generators.Denoiser): pass",
        )
    )
    free = spec.protocol.model_copy(update={"caps": Caps()})
    report = Trainer(spec.model_copy(update={"protocol": free})).run()
    assert report.params_after == DENOISER.params


def test_what_a_penalty_costs(tmp_path: Path) -> None:
    """With the penalty: a forward pass more, its gradient, and a backward pass of both."""
    (tmp_path / "plain").mkdir()
    plain, penalised = verify(tmp_path / "plain", "Adversarial").cost, verify(tmp_path, "GradientPenalty").cost
    assert plain is not None and penalised is not None
    critic = 8 * 4 * PIXELS  # MACs of the wide layer on a batch
    # Two forward passes, each with its weight's gradient, and at least three more such products for the slope.
    assert penalised.training_flops_per_step >= 2 * (4 + 3) * critic


def test_evaluations_that_differ_while_sampling_are_what_is_recorded(tmp_path: Path) -> None:
    cost = verify(tmp_path, "Adaptive").cost
    assert cost is not None
    verified = cost.evaluations_per_sample
    report = EvaluationReport(images=40, image_evaluations=int(40 * verified) + 30, **REST)
    sampled = as_sampled(report, cost)
    assert sampled.evaluations_per_sample == verified + 0.75
    assert sampled.macs_per_image == pytest.approx(cost.macs_per_image / verified * (verified + 0.75), abs=1)
    assert sampled.warnings is not None and "MACs are scaled to the first number" in sampled.warnings[0]
    assert Cost.model_validate_json(sampled.model_dump_json()) == sampled
    same = EvaluationReport(images=40, image_evaluations=int(40 * verified), **REST)
    assert as_sampled(same, cost) == cost
