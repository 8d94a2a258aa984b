"""Sampling that an interruption does not change, and sheets of images that show what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.contract.jobs.files import CLASSES, GRID, LINEAR, PROGRESS_FOLDER, REPORT, SLERP, WEIGHTS
from bench.contract.jobs.reports import TrainingReport as Report
from bench.contract.jobs.reports import read_report
from bench.contract.jobs.spec import JobSpec
from bench.errors import ContractError
from bench.job.channel import Channel
from bench.job.inference import sampler as generation
from bench.job.inference.prediction import rebuild
from bench.job.inference.sampler import Sampler, slerp
from bench.job.loading import load_submission
from bench.job.phases.training import train
from bench.job.phases.verification import Verifier
from tests.job.making_jobs import make_generator_spec

CONDITIONAL = {"decoded": "x = x + labels[:, None]"}


def sampler_of(spec: JobSpec) -> Sampler:
    submission: Any = load_submission(spec.folder, "generation", spec.overrides)
    return Sampler(submission, rebuild(submission, spec, spec.work / WEIGHTS), spec, Channel())


def trained(folder: Path, changes: dict[str, str] | None = None) -> JobSpec:
    folder.mkdir(exist_ok=True)
    spec = make_generator_spec(folder, changes, checkpoint_seconds=0.0)
    train(spec)
    return spec


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    return trained(tmp_path_factory.mktemp("generator"))


def test_a_sampling_that_breaks_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = trained(tmp_path)
    whole = sampler_of(spec).draw(16, "sample")
    (spec.work / "sample.partial").unlink()
    original, calls = generation.sample, [0]

    def breaks_off(*arguments: Any) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(generation, "sample", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        sampler_of(spec).draw(16, "sample")
    resumed = sampler_of(spec).draw(16, "sample")
    assert calls[0] == 4  # 40 samples in batches of 16 are three calls; the third was made again
    assert torch.equal(resumed.images, whole.images)
    assert resumed.image_evaluations == whole.image_evaluations == 3 * 40
    assert resumed.seconds > 0
    again = sampler_of(spec).draw(16, "sample")
    assert calls[0] == 4  # all were there, the short last batch too
    assert torch.equal(again.images, whole.images)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_damaged_samples_are_drawn_again(tmp_path: Path, content: bytes) -> None:
    spec = trained(tmp_path)
    whole = sampler_of(spec).draw(16, "sample")
    (spec.work / "sample.partial").write_bytes(content)
    assert torch.equal(sampler_of(spec).draw(16, "sample").images, whole.images)
    assert (spec.work / "sample.unusable").exists()


def test_the_grid_is_of_the_same_noise_for_every_seed(spec: JobSpec) -> None:
    other = sampler_of(spec.model_copy(update={"seed": 5}))
    assert torch.equal(sampler_of(spec).grid(), other.grid())
    one, another = (
        sampler_of(spec.model_copy(update={"seed": seed, "work": spec.work})).draw(16, f"of seed {seed}").images
        for seed in (0, 1)
    )
    assert not torch.equal(one, another)


def test_rows_of_classes_where_labels_matter(spec: JobSpec, tmp_path: Path) -> None:
    assert CLASSES not in sampler_of(spec).sheets()
    rows = sampler_of(trained(tmp_path, CONDITIONAL)).sheets()[CLASSES].unflatten(0, (4, 8))
    difference = rows[1].int() - rows[0].int()
    assert difference.unique().tolist() == [40]  # the same noise in a column, a label more


def test_interpolations_begin_and_end_at_samples(spec: JobSpec) -> None:
    sheets = sampler_of(spec).sheets()
    assert set(sheets) == {GRID, LINEAR, SLERP}
    linear, round_ = (sheets[picture].unflatten(0, (8, 8)).float() for picture in (LINEAR, SLERP))
    assert torch.equal(linear[:, [0, -1]], round_[:, [0, -1]].clone())
    assert not torch.equal(linear, round_)
    steps = (linear[:, 1:] - linear[:, :-1]).flatten(2).norm(dim=2)
    assert steps.max() < (linear[:, -1] - linear[:, 0]).flatten(1).norm(dim=1).max()  # no jump in between


def test_slerp() -> None:
    x, y = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 2.0]])
    half = slerp(x, y, 0.5)
    assert torch.allclose(half, torch.tensor([[1.0, 1.0], [2.0, 2.0]]) / 2**0.5)
    assert torch.allclose(slerp(x, y, 0.0), x) and torch.allclose(slerp(x, y, 1.0), y, atol=1e-6)
    noise, other = torch.randn(2, 5, 3, 8, 8).unbind()
    norms = slerp(noise, other, 0.5).flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    assert (norms > 0.9).all()  # a straight line's middle is at 0.7
    assert torch.isfinite(slerp(noise, noise, 0.3)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampled": "latents = latents * 2"}, r"decode\(latent\(...\)\) gives other images than sample"),
        ({"sampled": "return latents"}, "sample returned"),
    ],
)
def test_latents_that_are_not_what_sample_starts_from(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        Verifier(make_generator_spec(tmp_path, changes)).run()


def test_a_generator_without_latents_is_not_interpolated(tmp_path: Path) -> None:
    spec = trained(tmp_path)
    model = spec.folder / "model.py"
    model.write_text(model.read_text().replace("def latent", "def _start").replace("Tiny.latent", "Tiny._start"))
    assert set(sampler_of(spec).sheets()) == {GRID}


def progress_pictures(spec: JobSpec) -> Iterator[Path]:
    return (spec.work / PROGRESS_FOLDER).glob("*.png")


def test_grids_while_training_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = trained(tmp_path / "a")
    assert sorted(path.name for path in progress_pictures(spec)) == [
        f"step-{step:06}.png"
        for step in (1, 3, 6)  # 12 steps: a 16th is none, then 1, 3, 6
    ]
    picture = np.asarray(Image.open(next(progress_pictures(spec))))
    assert picture.shape == (2 * (8 * 18 + 2), 2 * (8 * 18 + 2), 3)
    monkeypatch.setattr("bench.job.phases.training.Trainer._save_grid", lambda *arguments: None)
    without = trained(tmp_path / "b")
    reports = [read_report(one.work / REPORT["train"], Report) for one in (spec, without)]
    assert reports[0].weights_sha256 == reports[1].weights_sha256
