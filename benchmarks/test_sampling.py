"""Samples of a diffusion model compared with a plain loop, and FID compared with torch-fidelity."""

import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from bench.files import REPOSITORY
from bench.harness.commands.measure_speeds import Worker
from bench.harness.executors.local import environment
from bench.harness.planning.devices import usable_cores
from bench.measure.metrics import weights
from benchmarks.specs import bare_environment
from benchmarks.versus import versus

DDPM_STEPS, DDPM_IMAGES = 4, 100
FID_IMAGES = 50


def test_ddpm_samples_beside_a_plain_loop(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Use all cores, and a separate process with its own environment for each method."""
    cores = usable_cores()
    variables = {"plain": bare_environment(), "harness": environment(cores)}
    with ExitStack() as stack:
        workers = {}
        for method, environment_variables in variables.items():
            command = [
                sys.executable,
                "-m",
                "benchmarks.sampling",
                method,
                *map(str, (DDPM_STEPS, DDPM_IMAGES, cores)),
            ]
            worker = Worker(
                command, method, cwd=REPOSITORY, variables=environment_variables, log=tmp_path / f"{method}.log"
            )
            workers[method] = stack.enter_context(worker)
        what = f"{DDPM_IMAGES} samples of convnext_ddpm, {DDPM_STEPS} of its 1,000 steps, {cores} threads, float32"
        versus(
            benchmark,
            lambda: workers["harness"].seconds("sample", 1),
            {"a plain loop, two evaluations a step": lambda: workers["plain"].seconds("sample", 1)},
            what=what,
            goal=1.5,
        )


@pytest.fixture(scope="module")
def _weights() -> None:
    reason = weights.missing(weights.INCEPTION)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.usefixtures("_weights")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # torch-fidelity's, on two cores
def test_features_beside_torch_fidelity(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Features of a second submission: those of the reference are cached; torch-fidelity reads both folders."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.utils import extract_featuresdict_from_input_id

    from bench.job.sample_metrics.inception import FeatureReader
    from bench.measure.metrics.inception import Inception

    images = np.random.default_rng(0).integers(0, 256, (FID_IMAGES, 3, 32, 32), dtype=np.uint8)
    folders = [tmp_path / "samples", tmp_path / "reference"]
    for folder in folders:
        folder.mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{index:05}.png")
    network = Inception("legacy")
    reader = FeatureReader(network, lambda done, total: None)

    class Theirs(Inception):
        forward = FeatureExtractorInceptionV3.forward

    extractor = Theirs("legacy").to(memory_format=torch.contiguous_format).eval().requires_grad_(False)

    def ours() -> object:
        cache = tmp_path / "cache"
        for file in cache.glob("*") if cache.exists() else ():
            file.unlink()
        return reader.features(images, cache)

    def theirs() -> object:
        options = {"verbose": False, "cuda": False, "batch_size": 64}
        return [
            extract_featuresdict_from_input_id(1, extractor, input1=str(folder), **options) for folder in folders
        ]

    versus(
        benchmark,
        ours,
        {"torch-fidelity from two folders of PNG files": theirs},
        what=f"Inception features of {FID_IMAGES} samples, beside {FID_IMAGES} images already known, 1 thread",
        goal=3,
        rounds=6,
    )


def test_frechet_distance_beside_torch_fidelity(benchmark: BenchmarkFixture) -> None:
    """Time of FID, features excluded."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    from bench.measure.metrics.frechet import frechet_distance, gaussian_of

    generator = np.random.default_rng(0)
    samples, reference = (generator.normal(size=(4000, 2048)).astype(np.float32) for _ in range(2))
    known = gaussian_of(reference)

    def theirs() -> object:
        statistics = [fid_features_to_statistics(torch.from_numpy(side)) for side in (samples, reference)]
        return fid_statistics_to_metric(*statistics, verbose=False)

    versus(
        benchmark,
        lambda: frechet_distance(gaussian_of(samples), known),
        {"torch-fidelity": theirs},
        what="the Fréchet distance of 4,000 samples' features from a reference already known, 1 thread",
        rounds=6,
    )
