"""A training step of a submission under the harness, its augmentation alone, and a prediction."""

from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.augment import random_resized_crop, random_rotation
from bench.contract.tracks import load_tracks
from bench.job.speed import work_of
from bench.run.discovery import discover
from bench.run.verify_command import verification_spec

SUBMISSIONS = Path(__file__).resolve().parents[1] / "submissions"


@pytest.mark.parametrize("what", ["train", "infer"])
def test_se_dsconv(benchmark: BenchmarkFixture, what: str) -> None:
    (found,), _ = discover([SUBMISSIONS / "se_dsconv"], load_tracks())
    work = work_of(verification_spec(found, "base", "cpu"))
    benchmark.pedantic(work[what], warmup_rounds=2, rounds=20)


@pytest.mark.parametrize("augment", [random_resized_crop, random_rotation], ids=lambda function: function.__name__)
def test_augment_128_images(benchmark: BenchmarkFixture, augment: object) -> None:
    assert callable(augment)
    images = torch.randint(0, 256, (128, 3, 32, 32), dtype=torch.uint8)
    options = {"degrees": 15} if augment is random_rotation else {"scale": (0.8, 1.0)}
    benchmark.pedantic(lambda: augment(images, **options), warmup_rounds=2, rounds=30)
