"""Evaluation reads the final weights and the images of the evaluated split only, and no labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.contract.jobs.files import (
    AS_PUBLISHED_GRID,
    AS_PUBLISHED_LOGITS,
    AS_PUBLISHED_SAMPLES,
    GRID,
    LOGITS,
    REPORT,
    SAMPLES,
    WEIGHTS,
)
from bench.contract.jobs.reports import EvaluationReport, read_report
from bench.contract.jobs.spec import ArrayFile, JobSpec
from bench.contract.manifest import AsPublished
from bench.data import store
from bench.job.inference.prediction import rebuild, sample
from bench.job.loading import load_submission
from bench.job.phases import evaluation
from bench.job.phases.training import train
from bench.seeding import derive_seed
from tests.job.making_jobs import make_generator_spec, make_spec

PUBLISHED = AsPublished(mode="train", batch_size=40, why="nobody called eval()")


@pytest.fixture
def trained(tmp_path: Path) -> JobSpec:
    spec = make_spec(tmp_path, as_published=PUBLISHED)
    train(spec)
    return spec


def test_logits_are_those_of_the_final_weights(trained: JobSpec) -> None:
    evaluation.evaluate(trained)
    logits = np.load(trained.work / LOGITS)
    report = read_report(trained.work / REPORT["evaluate"], EvaluationReport)
    images = torch.from_numpy(store.load("shapes4x16", "test", trained.data.root).images)
    model = rebuild(load_submission(trained.folder, "classification", {}), trained, trained.work / WEIGHTS)
    assert logits.shape == (160, 4) and report.images == 160
    # All in one batch, against batches of 500: an image's logits do not depend on the rest of its batch.
    assert np.allclose(logits, model(images).numpy(), atol=1e-5)
    assert report.batch_independent is True


def test_as_published_logits_use_batch_statistics(trained: JobSpec) -> None:
    evaluation.evaluate(trained)
    standard, published = np.load(trained.work / LOGITS), np.load(trained.work / AS_PUBLISHED_LOGITS)
    assert published.shape == standard.shape and not np.allclose(standard, published, atol=1e-2)
    again = trained.model_copy(update={"work": trained.work})
    evaluation.evaluate(again)
    assert np.array_equal(published, np.load(trained.work / AS_PUBLISHED_LOGITS))


def test_only_the_evaluated_images_are_opened(trained: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = evaluation.read_array

    def read_array(file: ArrayFile) -> object:
        opened.append(file)
        return original(file)

    monkeypatch.setattr(evaluation, "read_array", read_array)
    evaluation.evaluate(trained)
    assert opened == [trained.data.evaluation_images]


def test_weights_without_a_tensor_of_the_model_are_refused(trained: JobSpec) -> None:
    weights = load_file(trained.work / WEIGHTS)
    save_file({name: tensor for name, tensor in weights.items() if name != "head.bias"}, trained.work / WEIGHTS)
    with pytest.raises(Exception, match=r"do not fit build_model.*head\.bias"):
        evaluation.evaluate(trained)


def test_generator_is_sampled_in_eval_mode_and_as_published(tmp_path: Path) -> None:
    spec = make_generator_spec(tmp_path, as_published=AsPublished(mode="train", batch_size=10, why="left so"))
    train(spec)
    evaluation.evaluate(spec)
    report = read_report(spec.work / REPORT["evaluate"], EvaluationReport)
    standard, published = np.load(spec.work / SAMPLES), np.load(spec.work / AS_PUBLISHED_SAMPLES)
    assert standard.shape == published.shape == (40, 3, 16, 16)
    assert report.images == 40 and report.image_evaluations == 40 * 3
    grids = [np.load(spec.work / picture.array) for picture in (GRID, AS_PUBLISHED_GRID)]
    assert grids[0].shape == grids[1].shape == (64, 3, 16, 16)
    assert not np.array_equal(*grids)
    # The same by hand: train mode, batches of 10, one seed per batch.
    submission = load_submission(spec.folder, "generation", {})
    model = rebuild(submission, spec, spec.work / WEIGHTS).train()
    for index in range(4):
        seed = derive_seed(spec.seed, "sample-as-published", index)
        batch = sample(submission, model, torch.arange(10), seed, (3, 16, 16))  # type: ignore[arg-type]
        assert np.array_equal(batch.numpy(), published[10 * index : 10 * index + 10])
