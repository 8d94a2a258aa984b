"""Every submission and every variant keeps the contract, and its count is the paper's."""

import functools
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Budget
from bench.contract.tracks import load_tracks
from bench.data import store
from bench.data.batches import BatchStream
from bench.harness.commands.verify import differing_modules, verification_spec
from bench.harness.submissions.discovery import SubmissionSource, discover
from bench.job.checkpoints.state import capture_state, restore_state
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.inference.prediction import sample
from bench.job.loading import AnySubmission, config_values, load_submission
from bench.job.phases.training import start_training, train_one_step
from bench.job.phases.verification import Verifier
from bench.measure.speed.host_waits import WaitRecorder

ROOT = Path(__file__).resolve().parents[1]
FOUND, _ = discover([ROOT / "submissions"], load_tracks())
Entry = tuple[SubmissionSource, str]
ENTRIES: list[Entry] = [(found, variant) for found in FOUND for variant in ["base", *found.manifest.ablations]]
GENERATORS = [entry for entry in ENTRIES if entry[0].track.task == "generation"]

# Typed from the papers, not read from the manifests.
PUBLISHED = {
    "se_dsconv": 84_194,
    "dcgan_000": 980_724,
    "baby_mobilenet": 97_584,
    "convnext_ddpm": 960_223,
    "inverted_residual_se": 86_692,
    "dcgan_002": 967_072,
    "densenet_bc": 99_735,
    "dcgan_003": 595_840,
    "cnn6": 2_494_022,
    "cnn7": 3_004_917,
    "cnn2": 10_393_946,
    # He et al. have 0.27 M with ten classes; 90 classes more take 90 · 65.
    "resnet20": 269_722 + 90 * 65,
}
# Variants that change the count: paper 002's own figure, and closed forms.
OTHER_COUNTS = {
    ("inverted_residual_se", "extra-block"): 104_804,
    ("inverted_residual_se", "expansion-4"): 48_164,
    ("inverted_residual_se", "plain"): 34_276,
    ("inverted_residual_se", "plain-relu"): 34_276,
    ("inverted_residual_se", "plain-softplus"): 34_276,
    ("resnet20", "resnet-32"): 464_154 + 90 * 65,
}
OUTSIDE = {("inverted_residual_se", "extra-block"), ("inverted_residual_se", "more-steps")}

BATCH = 16  # instead of up to 512: the contract does not depend on it
STEPS = 24
INTERRUPTED = STEPS - 2  # the step at which a checkpoint is saved and resumed from


def name_of(entry: Entry) -> str:
    found, variant = entry
    return found.name if variant == "base" else f"{found.name}/{variant}"


def small_spec(entry: Entry, **overrides: object) -> JobSpec:
    found, variant = entry
    spec = verification_spec(found, variant, "cpu")
    few = {"sampling_steps": 3} if found.name == "convnext_ddpm" else {}  # instead of a thousand
    return spec.model_copy(update={"overrides": {**spec.overrides, "batch_size": BATCH, **few, **overrides}})


def each(entries: list[Entry]) -> list[object]:
    """Entries as parameters; those of one submission go to one worker."""
    groups = [pytest.mark.xdist_group(f"submission {found.name}") for found, _ in entries]
    return [pytest.param(e, id=name_of(e), marks=group) for e, group in zip(entries, groups, strict=True)]


# Of the module, so that all tests of an entry follow one another.
of_every_entry = pytest.mark.parametrize("entry", each(ENTRIES), scope="module")


def test_all_are_found() -> None:
    assert {found.name for found in FOUND} == set(PUBLISHED)
    known = {(found.name, variant) for found, variant in ENTRIES}
    assert known >= OTHER_COUNTS.keys() | OUTSIDE


@of_every_entry
def test_it_has_the_published_count(entry: Entry) -> None:
    """The count, and the fields that a variant sets, of every one."""
    training, key = trained(entry), (entry[0].name, entry[1])
    count = training.params
    assert count == OTHER_COUNTS.get(key, PUBLISHED[key[0]])
    assert entry[0].manifest.claims_of(entry[1]).params in (None, count)
    config = config_values(training.submission)
    assert training.spec.overrides.items() <= config.items()
    caps, steps = training.spec.protocol.caps, training.spec.steps
    over = (caps.params is not None and count > caps.params) or steps > training.spec.protocol.steps
    assert over == (key in OUTSIDE)


@of_every_entry
def test_it_verifies(entry: Entry) -> None:
    """Caps, two steps, strict rebuild, batch independence or repeatable samples, of every other network."""
    found, variant = entry
    NETWORKS[found.name, variant] = trained(entry).network
    if variant != "base" and NETWORKS[found.name, variant] == NETWORKS.get((found.name, "base")):
        return  # its count and config are tested above, its training below
    verification = Verifier(small_spec(entry)).run()
    assert verification.problems == [] and verification.cost is not None
    assert verification.cost.params == trained(entry).params
    assert bool(verification.over_caps) == ((found.name, variant) in OUTSIDE)
    claims = found.manifest.claims_of(variant)
    assert differing_modules(verification.cost, claims.params_by_module) == []


@functools.cache
def real_images(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """64 images of the official data where they are there, else drawn ones."""
    root = store.data_root(None)
    official, drawn = ("cifar100", "shapes100") if shape[1] == 32 else ("addnist-style", "shapes20x28")
    name = official if "BENCH_DATA" in os.environ and store.available(official, root) is None else drawn
    data = store.load(name, "validation", root).evenly_spread(64)
    return torch.from_numpy(data.images), torch.from_numpy(data.labels)


class Training:
    """A short training on 64 images."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.submission: AnySubmission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        images, labels = real_images(spec.data.image_shape)
        budget = Budget(steps=STEPS, batch_size=BATCH, train_images=64)
        self.model = start_training(self.submission, spec, budget, torch.device("cpu"))
        self.batches = BatchStream(images, labels, batch_size=BATCH, seed=0)

    def steps(self, first: int, last: int) -> Iterator[dict[str, float]]:
        for step in range(first, last):
            values = train_one_step(self.submission, self.batches, self.spec, step)
            yield {name: value.item() for name, value in values.items()}


class Watched(Training):
    """The one training of an entry that all tests ask about, and what was seen while it went on."""

    def __init__(self, spec: JobSpec) -> None:
        super().__init__(spec)
        state = ParameterCounter(self.submission, self.model)
        self.params = state.count().total
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.model.state_dict().items()]
        self.network = str(self.model), shapes  # what it is made of
        hooks = state.watch_gradients()
        with WaitRecorder() as recorder:
            values = [train_one_step(self.submission, self.batches, spec, step) for step in range(2)]
        self.waits = recorder.waits
        self.silent = [
            f"{where}.{name}"
            for where, module in state.modules.items()
            for name, parameter in module.named_parameters()
            if id(parameter) not in state.with_gradient
        ]
        for hook in hooks:
            hook.remove()
        self.logged = [{name: value.item() for name, value in step.items()} for step in values]
        self.logged += self.steps(2, INTERRUPTED)
        self.checkpoint = io.BytesIO()
        torch.save(capture_state(self.submission, self.model), self.checkpoint)
        self.logged += self.steps(INTERRUPTED, STEPS)


LATEST: dict[str, Watched] = {}  # the entry that is tested now
NETWORKS: dict[tuple[str, str], object] = {}


def trained(entry: Entry) -> Watched:
    """The entry's training, which the first test that asks for it carries out."""
    name = name_of(entry)
    if name not in LATEST:
        LATEST.clear()
        LATEST[name] = Watched(small_spec(entry))
    return LATEST[name]


# Its constants go to the device in each call; it stays until the records that hash its code are made anew.
KNOWN_TO_WAIT = ("_rotation.py",)


@of_every_entry
def test_no_step_waits_for_the_device(entry: Entry) -> None:
    assert [wait for wait in trained(entry).waits if not wait.startswith(KNOWN_TO_WAIT)] == []


@of_every_entry
def test_every_counted_parameter_gets_a_gradient(entry: Entry) -> None:
    assert trained(entry).silent == []


@of_every_entry
def test_it_learns(entry: Entry) -> None:
    logged = trained(entry).logged
    if "discriminator_loss" in logged[0]:
        # The two losses of an adversarial pair rise and fall in turn; the discriminator starts by learning.
        losses = [values["discriminator_loss"] for values in logged]
        assert min(losses) < 0.8 * losses[0]
    else:
        losses = [values["loss"] for values in logged]
        assert sum(losses[-8:]) < sum(losses[:8])


@of_every_entry
def test_it_repeats_bit_for_bit_and_resumes_from_a_checkpoint(entry: Entry) -> None:
    whole, again = trained(entry), Training(small_spec(entry))
    assert list(again.steps(0, 2)) == whole.logged[:2]
    whole.checkpoint.seek(0)
    restore_state(again.submission, again.model, torch.load(whole.checkpoint, weights_only=True))
    assert list(again.steps(INTERRUPTED, STEPS)) == whole.logged[INTERRUPTED:]


@pytest.mark.parametrize("entry", each(GENERATORS))
def test_samples_depend_on_the_seed_alone(entry: Entry) -> None:
    training = Training(small_spec(entry))
    submission, model = training.submission, training.model.eval()
    labels = torch.arange(6)
    first, again, other = (sample(submission, model, labels, seed, (3, 32, 32)) for seed in (0, 0, 1))  # type: ignore[arg-type]
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) == 6


def learning_rates(submission: str, variant: str, optimizer: str) -> list[float]:
    """The rate before each step of a training of 1,000 steps, none of which is computed."""
    found = next(found for found in FOUND if found.name == submission)
    spec = verification_spec(found, variant, "cpu")
    loaded = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    start_training(loaded, spec, Budget(steps=1000, batch_size=64, train_images=50_000), torch.device("cpu"))
    schedules = [value for value in vars(loaded).values() if hasattr(value, "get_last_lr")]
    rates = []
    for _ in range(1000):
        rates.append(getattr(loaded, optimizer).param_groups[0]["lr"])
        for schedule in schedules:
            schedule.optimizer._opt_called = True  # the order is right; no step is taken
            schedule.step()
    return rates


def drops(rates: list[float]) -> dict[int, float]:
    """Step -> factor, where the rate changes."""
    changes = {step: rates[step] / rates[step - 1] for step in range(1, len(rates))}
    return {step: round(factor, 4) for step, factor in changes.items() if factor != 1}


def test_paper_002s_rate_falls_once_after_36_of_50_epochs() -> None:
    """As the author's loop does: the scheduler is called every 6 epochs, and needs 6 calls."""
    weight = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=7.508166505062501e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=6, gamma=0.20783980641627642)
    as_run = []
    for epoch in range(1, 51):
        as_run += [optimizer.param_groups[0]["lr"]] * 20  # of 1,000 steps; here of 20
        optimizer.step()
        if epoch % 6 == 0:
            scheduler.step()
    assert learning_rates("dcgan_002", "base", "generator_optimizer") == pytest.approx(as_run)
    assert drops(as_run) == {720: 0.2078}
    proper = drops(learning_rates("dcgan_002", "proper-steplr", "discriminator_optimizer"))
    assert list(proper) == [120 * index for index in range(1, 9)]


def test_schedules_are_those_of_the_manifests() -> None:
    assert drops(learning_rates("baby_mobilenet", "base", "optimizer")) == {100 * i: 0.7 for i in range(1, 10)}
    assert drops(learning_rates("baby_mobilenet", "slower-decay", "optimizer")) == {
        100 * i: 0.9 for i in range(1, 10)
    }
    assert drops(learning_rates("baby_mobilenet", "without-optimisations", "optimizer")) == {}
    assert drops(learning_rates("resnet20", "base", "optimizer")) == {500: 0.1, 750: 0.1}
    assert drops(learning_rates("densenet_bc", "base", "optimizer")) == {}
    cosine = learning_rates("densenet_bc", "cosine", "optimizer")
    assert np.allclose(cosine, 0.0075 * (1 + np.cos(np.pi * np.arange(1000) / 1000)) / 2)


def test_paper_001s_average_is_its_own_in_an_official_run_and_in_proportion_in_others() -> None:
    found = next(found for found in FOUND if found.name == "convnext_ddpm")
    spec = verification_spec(found, "base", "cpu")
    for steps, decay, start in ((50_000, 0.998, 2_500), (1_000, 0.998**50, 50)):
        submission = load_submission(spec.folder, "generation", {})
        budget = Budget(steps=steps, batch_size=128, train_images=50_000)
        start_training(submission, spec, budget, torch.device("cpu"))
        average = submission.average  # type: ignore[union-attr]
        assert (average.decay, average.start) == (pytest.approx(decay), start)


def test_evidence_in_manifests_exists() -> None:
    """Variants and files that an audit points to are there."""
    for found in FOUND:
        for fault in found.manifest.faults:
            for variant in re.findall(r"variant `([^`]+)`", fault.evidence):
                assert variant in found.manifest.ablations, f"{found.name}: {fault.evidence}"
            for path in re.findall(r"[\w/]+\.py", fault.evidence):
                assert (ROOT / path).is_file(), f"{found.name}: {fault.evidence}"


@pytest.mark.weights
@pytest.mark.real_data
def test_the_lpips_of_paper_002_is_that_of_real_images(real_data: Path, metric_weights: Path) -> None:
    """0.686 ± 0.09 comes out of CIFAR-100's own training images, without any generator."""
    from bench.job.sample_metrics.lpips import real_images_metrics

    train = store.load("cifar100", "train+validation", real_data).balanced(1000).images
    found = real_images_metrics(train, "cpu", lambda done, total: None)
    assert found["lpips_real_images"] == pytest.approx(0.686, abs=0.015)
    assert found["lpips_real_images_std"] == pytest.approx(0.09, abs=0.01)
