"""The score phase: without weights null metrics with a reason, with weights torch-fidelity's values."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.contract.jobs.files import AS_PUBLISHED_SAMPLES, NEAREST, REPORT, SAMPLES
from bench.contract.jobs.reports import Scores, read_report
from bench.contract.jobs.spec import JobSpec
from bench.contract.manifest import AsPublished
from bench.data.store import load
from bench.errors import ContractError
from bench.job.phases.scoring import score, score_real_images
from bench.measure.metrics import weights
from tests.job.making_jobs import make_generator_spec

N = 40
PUBLISHED = AsPublished(mode="train", batch_size=10, resize="clean", lpips="real images", why="a test")
METRICS = {
    "fid_40",
    "fid_40_train",
    "fid_infinity_from_40",
    "kid_40",
    "precision_40",
    "recall_40",
    "lpips_alex_64",
    "lpips_vgg_64",
    "nearest_train_lpips_alex_64",
    "nearer_than_held_out",
    "nearer_than_closest_1_percent",
}


def make_spec(folder: Path, samples: np.ndarray) -> JobSpec:
    spec = make_generator_spec(folder, as_published=PUBLISHED)
    limits = {"train_references": 48, "train_searched": 60, "evaluation_images": 44}
    spec = spec.model_copy(update={"protocol": spec.protocol.model_copy(update=limits)})
    for name in (SAMPLES, AS_PUBLISHED_SAMPLES):
        np.save(spec.work / name, samples)
    return spec


def real(spec: JobSpec, part: Any, count: int) -> np.ndarray:
    return load("shapes4x16", part, spec.data.root).balanced(count).images


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, 3, 16, 16), dtype=np.uint8)


def test_metrics_without_weights_are_null_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "none"))
    spec = make_spec(tmp_path, noise())
    score(spec)
    scores = read_report(spec.work / REPORT["score"], Scores)
    assert (scores.metrics, scores.intervals, scores.weights, scores.as_published) == ({}, {}, {}, {})
    published = {"as_published.fid_clean_40", "as_published.lpips_real_images"}
    assert set(scores.not_measured) == METRICS | published
    assert all("bench fetch" in reason for reason in scores.not_measured.values())


def test_damaged_weights_are_the_reason_of_null_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    for item in weights.ALL:
        item.path.write_bytes(b"<html>")
    spec = make_spec(tmp_path, noise())
    score(spec)
    scores = read_report(spec.work / REPORT["score"], Scores)
    assert "delete it and run `bench fetch all`" in scores.not_measured["fid_40"]


def test_samples_of_the_wrong_shape_are_refused(metric_weights: Path, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, noise()[:7])
    with pytest.raises(ContractError, match=r"found \(7, 3, 16, 16\) uint8, expected \(40, 3, 16, 16\)"):
        score(spec)


@pytest.fixture(scope="module")
def scored(metric_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[JobSpec, Scores, Scores]:
    """Return the scores of 5 copies of training images and 35 noise images, and those of real images."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_WEIGHTS", str(folder / "weights"))  # a feature cache of its own
        (folder / "weights").mkdir()
        for item in weights.ALL:
            shutil.copyfile(metric_weights / item.path.name, item.path)
        samples = noise()
        spec = make_spec(folder, samples)
        samples[:5] = real(spec, "train", 60)[:5]
        np.save(spec.work / SAMPLES, samples)
        score_real_images(spec)
        real_images = read_report(spec.work / REPORT["score_real"], Scores)
        score(spec)
        return spec, read_report(spec.work / REPORT["score"], Scores), real_images


@pytest.mark.weights
def test_all_metrics_are_computed(scored: tuple[JobSpec, Scores, Scores]) -> None:
    _, scores, real_images = scored
    within_class = {"lpips_alex_64_within_class", "lpips_vgg_64_within_class", "kid_40_std"}
    assert set(scores.metrics) == METRICS | within_class
    assert set(scores.as_published) == {"fid_clean_40", "lpips_real_images", "lpips_real_images_std"}
    assert scores.not_measured == {} and set(scores.weights) == {item.name for item in weights.ALL}
    low, high = scores.intervals["fid_40"]
    assert low < scores.metrics["fid_40"] < high
    assert set(real_images.metrics) == (METRICS | within_class) - {
        "nearer_than_held_out",
        "nearer_than_closest_1_percent",
    }
    assert set(real_images.as_published) == {"fid_clean_40"}
    assert real_images.metrics["fid_40"] < scores.metrics["fid_40"]


@pytest.mark.weights
def test_copies_of_training_images_are_detected_and_shown(scored: tuple[JobSpec, Scores, Scores]) -> None:
    spec, scores, _ = scored
    closest = np.load(spec.work / NEAREST.array)
    assert closest.shape == (40, 3, 16, 16)  # 20 pairs: ten samples, their nearest images, ten samples, ...
    samples = np.load(spec.work / SAMPLES)
    assert np.array_equal(np.sort(closest[:5].reshape(5, -1), 0), np.sort(samples[:5].reshape(5, -1), 0))
    assert np.array_equal(closest[:5], closest[10:15])
    assert not np.array_equal(closest[5], closest[15])
    assert 5 / 40 <= scores.metrics["nearer_than_held_out"] < 0.3  # the 5 copies are nearer, noise is not
    assert scores.metrics["nearer_than_closest_1_percent"] == 5 / 40


@pytest.mark.weights
def test_metrics_equal_those_of_torch_fidelity_on_png_files(
    scored: tuple[JobSpec, Scores, Scores], tmp_path: Path
) -> None:
    torch_fidelity = pytest.importorskip("torch_fidelity")
    spec, scores, _ = scored
    reference = load("shapes4x16", "test", spec.data.root).evenly_spread(44).images
    for name, images in (("samples", np.load(spec.work / SAMPLES)), ("reference", reference)):
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / name / f"{index:03}.png")
    state = {name: torch.from_numpy(array) for name, array in weights.read(weights.INCEPTION).items()}
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(state, tmp_path / "inception.pth")
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "samples"),
        input2=str(tmp_path / "reference"),
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=20,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(tmp_path / "inception.pth"),
        cuda=False,
        cache=False,
        save_cpu_ram=True,  # no worker processes
        verbose=False,
    )
    ours = scores.metrics
    assert ours["fid_40"] == pytest.approx(expected["frechet_inception_distance"], abs=1e-3)
    assert ours["kid_40"] == pytest.approx(expected["kernel_inception_distance_mean"], abs=1e-6)
    assert ours["kid_40_std"] == pytest.approx(expected["kernel_inception_distance_std"], abs=1e-6)
    assert ours["precision_40"] == pytest.approx(expected["precision"], abs=1e-6)
    assert ours["recall_40"] == pytest.approx(expected["recall"], abs=1e-6)
