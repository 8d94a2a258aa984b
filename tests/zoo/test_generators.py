"""Generators of the field verify with exact costs, for every kind of sampler."""

from pathlib import Path

import pytest

from bench.contract.jobs.reports import EvaluationReport, Verification
from bench.contract.records.record import Cost
from bench.contract.tracks import Caps
from bench.harness.results.observed_cost import as_sampled
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
OTHER_FIELDS = {"batch_independent": None, "batch_dependence": None, "seconds": 1.0, "peak_memory_bytes": 1}
DENOISER = total(linear(PIXELS, 4), linear(4, PIXELS))
GENERATOR = linear(8, PIXELS)
# Costs whose parameters count against the cap, and network evaluations per sample.
EXPECTED = {
    "Adversarial": (total(GENERATOR, params(PIXELS + 1)), 1),
    "GradientPenalty": (total(GENERATOR, params(4 * PIXELS + 4 + 5)), 1),
    "R1": (total(GENERATOR, params(conv(3, 4, 4, 16).params + 65)), 1),
    "Spectral": (total(GENERATOR, params(PIXELS + 1)), 1),
    "FlowMatching": (DENOISER, 20),
    "FloatTime": (DENOISER, 20),
    "IntegerTime": (DENOISER, 1000),
    "ScalarTime": (DENOISER, 20),
    "Adaptive": (DENOISER, None),
}


def verify(folder: Path, name: str) -> Verification:
    spec = make_generator_spec(folder)
    (spec.folder / "model.py").write_text(MODEL.format(name=name))
    uncapped = spec.protocol.model_copy(update={"caps": Caps()})
    return Verifier(spec.model_copy(update={"protocol": uncapped})).run()


@pytest.mark.parametrize("name", [kind.__name__ for kind in GENERATORS])
def test_generator_verifies_with_exact_costs(tmp_path: Path, name: str) -> None:
    report = verify(tmp_path, name)
    assert report.problems == [] and report.warnings == [] and report.cost is not None
    (count, macs), evaluations = EXPECTED[name]
    if evaluations is None:
        assert report.cost.evaluations_per_sample > 2
        evaluations = int(report.cost.evaluations_per_sample)
    assert (report.cost.params, report.cost.evaluations_per_sample) == (count, evaluations)
    assert report.cost.macs_per_image == evaluations * macs == report.cost.fvcore_macs_per_image
    assert report.cost.warnings == [] and report.cost.uncounted_operators == {}
    assert "bit-identical resume from a checkpoint" in report.tested


def test_rebuilt_network_has_the_class_that_build_model_returns(tmp_path: Path) -> None:
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
    uncapped = spec.protocol.model_copy(update={"caps": Caps()})
    report = Trainer(spec.model_copy(update={"protocol": uncapped})).run()
    assert report.params_after == DENOISER.params


def test_training_cost_includes_a_gradient_penalty(tmp_path: Path) -> None:
    """The penalty adds a forward pass, its gradient, and a backward pass through both."""
    (tmp_path / "plain").mkdir()
    plain, penalised = verify(tmp_path / "plain", "Adversarial").cost, verify(tmp_path, "GradientPenalty").cost
    assert plain is not None and penalised is not None
    critic = 8 * 4 * PIXELS  # MACs of the wide layer on a batch
    # Two forward passes, each with the gradient of its weight, and at least three such products for the penalty.
    assert penalised.training_flops_per_step >= 2 * (4 + 3) * critic


def test_recorded_evaluations_are_those_of_the_samples(tmp_path: Path) -> None:
    cost = verify(tmp_path, "Adaptive").cost
    assert cost is not None
    verified = cost.evaluations_per_sample
    report = EvaluationReport(images=40, image_evaluations=int(40 * verified) + 30, **OTHER_FIELDS)
    sampled = as_sampled(report, cost)
    assert sampled.evaluations_per_sample == verified + 0.75
    assert sampled.macs_per_image == pytest.approx(cost.macs_per_image / verified * (verified + 0.75), abs=1)
    assert sampled.warnings is not None and "MACs are scaled to the first number" in sampled.warnings[0]
    assert Cost.model_validate_json(sampled.model_dump_json()) == sampled
    same = EvaluationReport(images=40, image_evaluations=int(40 * verified), **OTHER_FIELDS)
    assert as_sampled(same, cost) == cost
