"""Interrupted sampling resumes bit-identically; grids of images show the intended samples."""

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
from bench.job.inference import sampler as sampler_module
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


def test_interrupted_sampling_resumes_bit_identically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = trained(tmp_path)
    uninterrupted = sampler_of(spec).draw(16, "sample")
    (spec.work / "sample.partial").unlink()
    original, calls = sampler_module.sample, [0]

    def interrupted_sample(*arguments: Any) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(sampler_module, "sample", interrupted_sample)
    with pytest.raises(KeyboardInterrupt):
        sampler_of(spec).draw(16, "sample")
    resumed = sampler_of(spec).draw(16, "sample")
    assert calls[0] == 4  # 40 samples in batches of 16 are three calls; the third was repeated
    assert torch.equal(resumed.images, uninterrupted.images)
    assert resumed.image_evaluations == uninterrupted.image_evaluations == 3 * 40
    assert resumed.seconds > 0
    again = sampler_of(spec).draw(16, "sample")
    assert calls[0] == 4  # all batches were saved, the short last one too
    assert torch.equal(again.images, uninterrupted.images)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_damaged_partial_samples_are_drawn_again(tmp_path: Path, content: bytes) -> None:
    spec = trained(tmp_path)
    uninterrupted = sampler_of(spec).draw(16, "sample")
    (spec.work / "sample.partial").write_bytes(content)
    assert torch.equal(sampler_of(spec).draw(16, "sample").images, uninterrupted.images)
    assert (spec.work / "sample.unusable").exists()


def test_grid_uses_the_same_noise_for_every_seed(spec: JobSpec) -> None:
    other = sampler_of(spec.model_copy(update={"seed": 5}))
    assert torch.equal(sampler_of(spec).grid(), other.grid())
    first, second = (
        sampler_of(spec.model_copy(update={"seed": seed, "work": spec.work})).draw(16, f"of seed {seed}").images
        for seed in (0, 1)
    )
    assert not torch.equal(first, second)


def test_grid_has_rows_per_class_only_if_labels_matter(spec: JobSpec, tmp_path: Path) -> None:
    assert CLASSES not in sampler_of(spec).sheets()
    rows = sampler_of(trained(tmp_path, CONDITIONAL)).sheets()[CLASSES].unflatten(0, (4, 8))
    difference = rows[1].int() - rows[0].int()
    assert difference.unique().tolist() == [40]  # each column has the same noise; the label differs by 1


def test_interpolations_share_their_endpoints_and_have_no_jump(spec: JobSpec) -> None:
    sheets = sampler_of(spec).sheets()
    assert set(sheets) == {GRID, LINEAR, SLERP}
    linear, spherical = (sheets[picture].unflatten(0, (8, 8)).float() for picture in (LINEAR, SLERP))
    assert torch.equal(linear[:, [0, -1]], spherical[:, [0, -1]].clone())
    assert not torch.equal(linear, spherical)
    steps = (linear[:, 1:] - linear[:, :-1]).flatten(2).norm(dim=2)
    assert steps.max() < (linear[:, -1] - linear[:, 0]).flatten(1).norm(dim=1).max()  # no jump in between


def test_slerp_matches_closed_forms_and_keeps_the_norm() -> None:
    x, y = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 2.0]])
    half = slerp(x, y, 0.5)
    assert torch.allclose(half, torch.tensor([[1.0, 1.0], [2.0, 2.0]]) / 2**0.5)
    assert torch.allclose(slerp(x, y, 0.0), x) and torch.allclose(slerp(x, y, 1.0), y, atol=1e-6)
    noise, other = torch.randn(2, 5, 3, 8, 8).unbind()
    norms = slerp(noise, other, 0.5).flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    assert (norms > 0.9).all()  # linear interpolation would give 0.7
    assert torch.isfinite(slerp(noise, noise, 0.3)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampled": "latents = latents * 2"}, r"decode\(latent\(...\)\) gives other images than sample"),
        ({"sampled": "return latents"}, "sample returned"),
    ],
)
def test_latents_that_do_not_reproduce_sample_are_refused(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        Verifier(make_generator_spec(tmp_path, changes)).run()


def test_generator_without_latents_has_no_interpolations(tmp_path: Path) -> None:
    spec = trained(tmp_path)
    model = spec.folder / "model.py"
    model.write_text(model.read_text().replace("def latent", "def _start").replace("Tiny.latent", "Tiny._start"))
    assert set(sampler_of(spec).sheets()) == {GRID}


def progress_pictures(spec: JobSpec) -> Iterator[Path]:
    return (spec.work / PROGRESS_FOLDER).glob("*.png")


def test_progress_grids_do_not_change_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = trained(tmp_path / "a")
    assert sorted(path.name for path in progress_pictures(spec)) == [
        f"step-{step:06}.png"
        for step in (1, 3, 6)  # 1/16 (no step), 1/8, 1/4 and 1/2 of 12 steps
    ]
    picture = np.asarray(Image.open(next(progress_pictures(spec))))
    assert picture.shape == (2 * (8 * 18 + 2), 2 * (8 * 18 + 2), 3)
    monkeypatch.setattr("bench.job.phases.training.Trainer._save_grid", lambda *arguments: None)
    without_grids = trained(tmp_path / "b")
    reports = [read_report(run.work / REPORT["train"], Report) for run in (spec, without_grids)]
    assert reports[0].weights_sha256 == reports[1].weights_sha256
