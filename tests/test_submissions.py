"""Every submission and variant satisfies the contract and has the parameter count of its paper."""

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
from bench.harness.commands.verify import verification_spec
from bench.harness.commands.verify_text import differing_modules
from bench.harness.submissions.discovery import SubmissionSource, discover
from bench.job.checkpoints.state import capture_state, restore_state
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.inference.prediction import sample
from bench.job.loading import AnySubmission, config_values, load_submission
from bench.job.phases.training import start_training, train_one_step
from bench.job.phases.verification import Verifier
from bench.measure.speed.host_waits import WaitRecorder

ROOT = Path(__file__).resolve().parents[1]
SOURCES, _ = discover([ROOT / "submissions"], load_tracks())
Entry = tuple[SubmissionSource, str]
ENTRIES: list[Entry] = [
    (source, variant) for source in SOURCES for variant in ["base", *source.manifest.ablations]
]
GENERATORS = [entry for entry in ENTRIES if entry[0].track.task == "generation"]

# Copied from the papers, not read from the manifests.
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
    # He et al. have 0.27 M with 10 classes; 90 more classes add 90 · 65.
    "resnet20": 269_722 + 90 * 65,
}
# Variants with another count: the figure of paper 002, and closed forms.
OTHER_COUNTS = {
    ("inverted_residual_se", "extra-block"): 104_804,
    ("inverted_residual_se", "expansion-4"): 48_164,
    ("inverted_residual_se", "plain"): 34_276,
    ("inverted_residual_se", "plain-relu"): 34_276,
    ("inverted_residual_se", "plain-softplus"): 34_276,
    ("resnet20", "resnet-32"): 464_154 + 90 * 65,
}
# Variants above the parameter cap or the number of steps of their track.
EXCEEDS_LIMITS = {("inverted_residual_se", "extra-block"), ("inverted_residual_se", "more-steps")}

BATCH = 16  # instead of up to 512; the contract does not depend on the batch size
STEPS = 24
CHECKPOINT_STEP = STEPS - 2  # the step at which a checkpoint is saved and resumed from


def name_of(entry: Entry) -> str:
    source, variant = entry
    return source.name if variant == "base" else f"{source.name}/{variant}"


def small_spec(entry: Entry, **overrides: object) -> JobSpec:
    source, variant = entry
    spec = verification_spec(source, variant, "cpu")
    sampling = {"sampling_steps": 3} if source.name == "convnext_ddpm" else {}  # instead of 1,000
    return spec.model_copy(update={"overrides": {**spec.overrides, "batch_size": BATCH, **sampling, **overrides}})


def entry_params(entries: list[Entry]) -> list[object]:
    """Return the entries as test parameters; all variants of a submission run in one worker."""
    groups = [pytest.mark.xdist_group(f"submission {source.name}") for source, _ in entries]
    return [pytest.param(e, id=name_of(e), marks=group) for e, group in zip(entries, groups, strict=True)]


# Module scope, so that all tests of an entry run in succession and share one training.
for_every_entry = pytest.mark.parametrize("entry", entry_params(ENTRIES), scope="module")


def test_all_submissions_and_variants_are_discovered() -> None:
    assert {source.name for source in SOURCES} == set(PUBLISHED)
    discovered = {(source.name, variant) for source, variant in ENTRIES}
    assert discovered >= OTHER_COUNTS.keys() | EXCEEDS_LIMITS


@for_every_entry
def test_parameter_count_equals_the_published_count(entry: Entry) -> None:
    """Check also the config fields that a variant sets, and the limits of the track."""
    training, key = trained(entry), (entry[0].name, entry[1])
    count = training.params
    assert count == OTHER_COUNTS.get(key, PUBLISHED[key[0]])
    assert entry[0].manifest.claims_of(entry[1]).params in (None, count)
    config = config_values(training.submission)
    assert training.spec.overrides.items() <= config.items()
    caps, steps = training.spec.protocol.caps, training.spec.steps
    exceeds = (caps.params is not None and count > caps.params) or steps > training.spec.protocol.steps
    assert exceeds == (key in EXCEEDS_LIMITS)


@for_every_entry
def test_submission_verifies(entry: Entry) -> None:
    """Check caps, two steps, strict rebuild, and batch independence or repeatable samples.

    Skip variants with the network of their base: other tests check their count, config and training.
    """
    source, variant = entry
    NETWORKS[source.name, variant] = trained(entry).network
    if variant != "base" and NETWORKS[source.name, variant] == NETWORKS.get((source.name, "base")):
        return
    verification = Verifier(small_spec(entry)).run()
    assert verification.problems == [] and verification.cost is not None
    assert verification.cost.params == trained(entry).params
    assert bool(verification.over_caps) == ((source.name, variant) in EXCEEDS_LIMITS)
    claims = source.manifest.claims_of(variant)
    assert differing_modules(verification.cost, claims.params_by_module) == []


@functools.cache
def real_images(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return 64 images and labels of the official data if available, else of the synthetic stand-in."""
    root = store.data_root(None)
    official, synthetic = ("cifar100", "shapes100") if shape[1] == 32 else ("addnist-style", "shapes20x28")
    name = official if "BENCH_DATA" in os.environ and store.available(official, root) is None else synthetic
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


class RecordedTraining(Training):
    """The training of an entry that its tests share, with recorded losses, waits and gradients."""

    def __init__(self, spec: JobSpec) -> None:
        super().__init__(spec)
        state = ParameterCounter(self.submission, self.model)
        self.params = state.count().total
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.model.state_dict().items()]
        self.network = str(self.model), shapes  # the architecture, to compare variants
        hooks = state.watch_gradients()
        with WaitRecorder() as recorder:
            values = [train_one_step(self.submission, self.batches, spec, step) for step in range(2)]
        self.waits = recorder.waits
        self.without_gradient = [
            f"{owner}.{name}"
            for owner, module in state.modules.items()
            for name, parameter in module.named_parameters()
            if id(parameter) not in state.with_gradient
        ]
        for hook in hooks:
            hook.remove()
        self.logged = [{name: value.item() for name, value in step.items()} for step in values]
        self.logged += self.steps(2, CHECKPOINT_STEP)
        self.checkpoint = io.BytesIO()
        torch.save(capture_state(self.submission, self.model), self.checkpoint)
        self.logged += self.steps(CHECKPOINT_STEP, STEPS)


LATEST: dict[str, RecordedTraining] = {}  # at most one: that of the current entry
NETWORKS: dict[tuple[str, str], object] = {}


def trained(entry: Entry) -> RecordedTraining:
    """Return the entry's training; the first test that needs it runs it."""
    name = name_of(entry)
    if name not in LATEST:
        LATEST.clear()
        LATEST[name] = RecordedTraining(small_spec(entry))
    return LATEST[name]


# It copies its constants to the device in each call. Committed records hash its code, so a fix needs new records.
KNOWN_TO_WAIT = ("_rotation.py",)


@for_every_entry
def test_training_steps_do_not_wait_for_the_device(entry: Entry) -> None:
    assert [wait for wait in trained(entry).waits if not wait.startswith(KNOWN_TO_WAIT)] == []


@for_every_entry
def test_every_counted_parameter_receives_a_gradient(entry: Entry) -> None:
    assert trained(entry).without_gradient == []


@for_every_entry
def test_training_loss_decreases(entry: Entry) -> None:
    logged = trained(entry).logged
    if "discriminator_loss" in logged[0]:
        # The two losses of a GAN alternate between rising and falling; the discriminator's falls first.
        losses = [values["discriminator_loss"] for values in logged]
        assert min(losses) < 0.8 * losses[0]
    else:
        losses = [values["loss"] for values in logged]
        assert sum(losses[-8:]) < sum(losses[:8])


@for_every_entry
def test_training_and_resume_are_bit_identical(entry: Entry) -> None:
    uninterrupted, repeated = trained(entry), Training(small_spec(entry))
    assert list(repeated.steps(0, 2)) == uninterrupted.logged[:2]
    uninterrupted.checkpoint.seek(0)
    restore_state(repeated.submission, repeated.model, torch.load(uninterrupted.checkpoint, weights_only=True))
    assert list(repeated.steps(CHECKPOINT_STEP, STEPS)) == uninterrupted.logged[CHECKPOINT_STEP:]


@pytest.mark.parametrize("entry", entry_params(GENERATORS))
def test_samples_depend_only_on_the_seed(entry: Entry) -> None:
    training = Training(small_spec(entry))
    submission, model = training.submission, training.model.eval()
    labels = torch.arange(6)
    first, again, other = (sample(submission, model, labels, seed, (3, 32, 32)) for seed in (0, 0, 1))  # type: ignore[arg-type]
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) == 6


def learning_rates(submission: str, variant: str, optimizer: str) -> list[float]:
    """Return the learning rate before each of 1,000 steps, without computing the steps."""
    source = next(source for source in SOURCES if source.name == submission)
    spec = verification_spec(source, variant, "cpu")
    loaded = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    start_training(loaded, spec, Budget(steps=1000, batch_size=64, train_images=50_000), torch.device("cpu"))
    schedules = [value for value in vars(loaded).values() if hasattr(value, "get_last_lr")]
    rates = []
    for _ in range(1000):
        rates.append(getattr(loaded, optimizer).param_groups[0]["lr"])
        for schedule in schedules:
            schedule.optimizer._opt_called = True  # avoid the warning that no optimizer step was taken
            schedule.step()
    return rates


def drops(rates: list[float]) -> dict[int, float]:
    """Return step → factor for each change of the learning rate."""
    changes = {step: rates[step] / rates[step - 1] for step in range(1, len(rates))}
    return {step: round(factor, 4) for step, factor in changes.items() if factor != 1}


def test_paper_002_learning_rate_falls_once_after_36_of_50_epochs() -> None:
    """The author's loop calls the scheduler every 6 epochs, and StepLR needs 6 calls."""
    weight = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=7.508166505062501e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=6, gamma=0.20783980641627642)
    published = []
    for epoch in range(1, 51):
        published += [optimizer.param_groups[0]["lr"]] * 20  # an epoch has 1,000 steps; here 20
        optimizer.step()
        if epoch % 6 == 0:
            scheduler.step()
    assert learning_rates("dcgan_002", "base", "generator_optimizer") == pytest.approx(published)
    assert drops(published) == {720: 0.2078}
    proper = drops(learning_rates("dcgan_002", "proper-steplr", "discriminator_optimizer"))
    assert list(proper) == [120 * index for index in range(1, 9)]


def test_learning_rate_schedules_match_the_manifests() -> None:
    assert drops(learning_rates("baby_mobilenet", "base", "optimizer")) == {100 * i: 0.7 for i in range(1, 10)}
    assert drops(learning_rates("baby_mobilenet", "slower-decay", "optimizer")) == {
        100 * i: 0.9 for i in range(1, 10)
    }
    assert drops(learning_rates("baby_mobilenet", "without-optimisations", "optimizer")) == {}
    assert drops(learning_rates("resnet20", "base", "optimizer")) == {500: 0.1, 750: 0.1}
    assert drops(learning_rates("densenet_bc", "base", "optimizer")) == {}
    cosine = learning_rates("densenet_bc", "cosine", "optimizer")
    assert np.allclose(cosine, 0.0075 * (1 + np.cos(np.pi * np.arange(1000) / 1000)) / 2)


def test_paper_001_ema_decay_scales_with_the_number_of_steps() -> None:
    source = next(source for source in SOURCES if source.name == "convnext_ddpm")
    spec = verification_spec(source, "base", "cpu")
    for steps, decay, start in ((50_000, 0.998, 2_500), (1_000, 0.998**50, 50)):
        submission = load_submission(spec.folder, "generation", {})
        budget = Budget(steps=steps, batch_size=128, train_images=50_000)
        start_training(submission, spec, budget, torch.device("cpu"))
        average = submission.average  # type: ignore[union-attr]
        assert (average.decay, average.start) == (pytest.approx(decay), start)


def test_variants_and_files_cited_as_evidence_exist() -> None:
    for source in SOURCES:
        for fault in source.manifest.faults:
            for variant in re.findall(r"variant `([^`]+)`", fault.evidence):
                assert variant in source.manifest.ablations, f"{source.name}: {fault.evidence}"
            for path in re.findall(r"[\w/]+\.py", fault.evidence):
                assert (ROOT / path).is_file(), f"{source.name}: {fault.evidence}"


@pytest.mark.weights
@pytest.mark.real_data
def test_paper_002_lpips_equals_that_of_real_images(real_data: Path, metric_weights: Path) -> None:
    """The published 0.686 ± 0.09 results from CIFAR-100's training images alone, without a generator."""
    from bench.job.sample_metrics.lpips import real_images_metrics

    train = store.load("cifar100", "train+validation", real_data).balanced(1000).images
    metrics = real_images_metrics(train, "cpu", lambda done, total: None)
    assert metrics["lpips_real_images"] == pytest.approx(0.686, abs=0.015)
    assert metrics["lpips_real_images_std"] == pytest.approx(0.09, abs=0.01)
