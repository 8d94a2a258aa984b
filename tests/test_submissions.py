"""Every submission in the repository keeps the contract, and its count is the paper's."""

from pathlib import Path

import pytest
import torch

from bench.contract.jobs import JobSpec, Verification
from bench.contract.submission import Budget, Classifier
from bench.contract.tracks import load_tracks
from bench.data.batches import BatchStream
from bench.data.store import load
from bench.job.accounting import TrainingState
from bench.job.loading import load_submission
from bench.job.prediction import sample
from bench.job.training import start_training, train_one_step
from bench.job.verification import Verifier
from bench.run.discovery import discover
from bench.run.verify_command import verification_spec

ROOT = Path(__file__).resolve().parents[1]
FOUND, _ = discover([ROOT / "submissions"], load_tracks())
ENTRIES = [(found, variant) for found in FOUND for variant in ["base", *found.manifest.ablations]]
# Typed from the papers, not read from the manifests.
PUBLISHED = {"se_dsconv": 84_194, "dcgan_000": 980_724}


@pytest.fixture(params=ENTRIES, ids=[f"{found.name}-{variant}" for found, variant in ENTRIES])
def spec(request: pytest.FixtureRequest) -> JobSpec:
    found, variant = request.param
    return verification_spec(found, variant, "cpu")


@pytest.fixture
def verified(spec: JobSpec) -> Verification:
    return Verifier(spec).run()


def test_all_are_found() -> None:
    assert {found.name for found in FOUND} == set(PUBLISHED)


def test_it_verifies_with_the_published_count(spec: JobSpec, verified: Verification) -> None:
    assert verified.problems == []
    assert verified.cost is not None and verified.cost.params == PUBLISHED[spec.submission]


def test_every_counted_parameter_gets_a_gradient(spec: JobSpec) -> None:
    submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    budget = Budget(steps=10, batch_size=submission.config.batch_size, train_images=1000)
    model = start_training(submission, spec, budget, torch.device("cpu"))
    state = TrainingState(submission, model)
    state.watch_gradients()
    images = torch.randint(0, 256, (budget.batch_size, *spec.data.image_shape), dtype=torch.uint8)
    labels = torch.arange(budget.batch_size) % spec.data.num_classes
    train_one_step(submission, BatchStream(images, labels, batch_size=budget.batch_size, seed=0), 0, 0)
    silent = [
        f"{where}.{name}"
        for where, module in state.modules.items()
        for name, parameter in module.named_parameters()
        if id(parameter) not in state._touched
    ]
    assert silent == []


def steps(spec: JobSpec, count: int) -> list[float]:
    """Losses of a training on 64 drawn images."""
    submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    data = load("shapes100" if spec.data.image_shape[1] == 32 else "shapes20x28", "validation", Path())
    images, labels = torch.from_numpy(data.images[:64]), torch.from_numpy(data.labels[:64])
    budget = Budget(steps=count, batch_size=submission.config.batch_size, train_images=64)
    start_training(submission, spec, budget, torch.device("cpu"))
    batches = BatchStream(images, labels, batch_size=budget.batch_size, seed=0)
    return [train_one_step(submission, batches, 0, step)["loss"].item() for step in range(count)]


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.name)
def test_it_repeats_bit_for_bit_and_learns(found) -> None:  # type: ignore[no-untyped-def]
    spec = verification_spec(found, "base", "cpu")
    first, second = steps(spec, 3), steps(spec, 3)
    assert first == second
    if spec.protocol.task == "classification":
        losses = steps(spec, 25)
        assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize(
    "found", [found for found in FOUND if found.track.task == "generation"], ids=lambda f: f.name
)
def test_samples_depend_on_the_seed_alone(found) -> None:  # type: ignore[no-untyped-def]
    spec = verification_spec(found, "base", "cpu")
    submission = load_submission(spec.folder, "generation", {})
    assert not isinstance(submission, Classifier)
    budget = Budget(steps=1, batch_size=submission.config.batch_size, train_images=64)
    model = start_training(submission, spec, budget, torch.device("cpu")).eval()
    labels = torch.arange(6)
    first, again, other = (sample(submission, model, labels, seed, (3, 32, 32)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) == 6
