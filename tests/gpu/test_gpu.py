"""Tests that need a GPU: results equal those of a CPU, resumes are bit-identical, steps do not synchronise.

``pytest -m gpu -p no:xdist`` takes about two minutes. It needs only pytest and the core install.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.augment._operations import ALL, apply_operations
from bench.contract.jobs.spec import JobSpec
from bench.contract.records.files import read_record, record_paths
from bench.contract.submission import Classifier
from bench.contract.tracks import Caps, load_tracks
from bench.files import REPOSITORY
from bench.harness.commands.verify import verification_spec
from bench.harness.submissions.discovery import discover
from bench.job.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from bench.job.checkpoints.state import capture_state, restore_state
from bench.job.checks.resumption import check_resumption
from bench.job.phases.training import train_one_step
from bench.job.phases.verification import Verifier
from bench.job.steps.numerics import configure_numerics, deterministic_kernels
from bench.job.steps.workload import Workload
from bench.measure.metrics import weights
from bench.measure.metrics.frechet import (
    extrapolated_distance,
    frechet_distance,
    gaussian_of,
    half_sample_deviation,
)
from bench.measure.metrics.inception import Inception
from bench.measure.metrics.kernel_distance import kernel_distance
from bench.measure.metrics.precision_recall import precision_recall
from bench.measure.speed.host_waits import WaitRecorder
from tests.job.making_jobs import make_spec
from tests.zoo.test_networks import MODEL, UNCOUNTED, networks

# CUDA and cuDNN may emit warnings of their own.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

SOURCES, _ = discover([REPOSITORY / "submissions"], load_tracks())
NAMES = [source.name for source in SOURCES]


def spec_of(name: str, device: str) -> JobSpec:
    (source,) = [source for source in SOURCES if source.name == name]
    configure_numerics("verify", device, "fp32")
    return verification_spec(source, "base", device).model_copy(update={"work": Path(tempfile.gettempdir())})


@pytest.mark.parametrize("name", NAMES)
def test_verification_on_a_gpu_has_the_counts_of_a_cpu(gpu: str, name: str) -> None:
    verification = Verifier(spec_of(name, gpu)).run()
    expected = Verifier(spec_of(name, "cpu")).run()
    assert verification.problems == [] and verification.cost is not None and expected.cost is not None
    assert verification.cost.macs_per_image == expected.cost.macs_per_image
    # AugMix computes all operations of all images on a GPU, and on a CPU those that were drawn.
    tolerance = 1e-4 if name == "densenet_bc" else 0
    assert verification.cost.training_flops_per_step == pytest.approx(
        expected.cost.training_flops_per_step, rel=tolerance, abs=0
    )
    assert verification.cost.params == expected.cost.params
    print(f"{name}: {verification.tested}, {verification.warnings}")


@pytest.mark.parametrize("name", networks())
def test_counts_of_common_networks_equal_their_closed_forms(gpu: str, name: str, tmp_path: Path) -> None:
    """On a GPU recurrent layers and attention use other kernels than on a CPU."""
    spec = make_spec(tmp_path, overrides={"network": name}, device=gpu)
    (spec.folder / "model.py").write_text(MODEL)
    uncapped = spec.protocol.model_copy(update={"caps": Caps()})
    verification = Verifier(spec.model_copy(update={"protocol": uncapped})).run()
    assert verification.problems == [] and verification.cost is not None
    assert (verification.cost.params, verification.cost.macs_per_image) == networks()[name][1]
    assert set(verification.cost.uncounted_operators) == ({UNCOUNTED[name]} if name in UNCOUNTED else set())


@pytest.mark.parametrize("name", NAMES)
def test_predictions_equal_those_of_a_cpu(gpu: str, name: str) -> None:
    on_cpu, on_gpu = Workload(spec_of(name, "cpu")), Workload(spec_of(name, gpu))
    if not isinstance(on_cpu.submission, Classifier) or not isinstance(on_gpu.submission, Classifier):
        pytest.skip("a generator draws its noise on its device")
    cpu_model, gpu_model = on_cpu.start(), on_gpu.start()
    gpu_model.load_state_dict(cpu_model.state_dict())
    with torch.no_grad():
        expected = on_cpu.submission.predict(cpu_model.eval(), on_cpu.images[:64])
        result = on_gpu.submission.predict(gpu_model.eval(), on_gpu.images[:64]).cpu()
    scale = expected.abs().max().item()
    assert (result - expected).abs().max().item() <= 1e-3 * scale  # TF32 would give about 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_training_steps_do_not_synchronise_with_the_host(gpu: str, name: str) -> None:
    work = Workload(spec_of(name, gpu))
    work.start()
    for step in range(3):
        train_one_step(work.submission, work.batches, work.spec, step)
    with WaitRecorder(device=gpu) as recorder:
        for step in range(3, 5):
            train_one_step(work.submission, work.batches, work.spec, step)
    waits = {wait for wait in recorder.waits if not wait.startswith("_rotation.py")}  # known to wait
    assert waits == set()


@pytest.mark.parametrize("name", NAMES)
def test_resume_keeps_tensors_on_their_devices_and_causes_no_synchronisation(
    gpu: str, name: str, tmp_path: Path
) -> None:
    work = Workload(spec_of(name, gpu))
    model = work.start()
    for step in range(2):
        train_one_step(work.submission, work.batches, work.spec, step)
    before = device_types(capture_state(work.submission, model))
    save_checkpoint(tmp_path / "checkpoint.pt", "run", {"state": capture_state(work.submission, model)})
    content = load_checkpoint(tmp_path / "checkpoint.pt", "run", work.device)
    assert content is not None
    resumed_work = Workload(spec_of(name, gpu))
    resumed = resumed_work.start()
    restore_state(resumed_work.submission, resumed, content["state"])
    assert device_types(capture_state(resumed_work.submission, resumed)) == before
    train_one_step(resumed_work.submission, resumed_work.batches, resumed_work.spec, 2)
    with WaitRecorder(device=gpu) as recorder:
        train_one_step(resumed_work.submission, resumed_work.batches, resumed_work.spec, 3)
    assert [wait for wait in recorder.waits if not wait.startswith("_rotation.py")] == []


def device_types(value: object) -> list[str]:
    """Return the device type of each tensor in a state, in order."""
    if isinstance(value, Tensor):
        return [value.device.type]
    if isinstance(value, dict):
        return [device_type for key in sorted(value, key=str) for device_type in device_types(value[key])]
    if isinstance(value, list | tuple):
        return [device_type for item in value for device_type in device_types(item)]
    return []


@pytest.mark.parametrize("name", ["se_dsconv", "inverted_residual_se", "resnet20", "dcgan_002"])
def test_resumed_step_is_bit_identical(gpu: str, name: str) -> None:
    work = Workload(spec_of(name, gpu))
    model = work.start()
    with deterministic_kernels(work.device):
        for step in range(2):
            train_one_step(work.submission, work.batches, work.spec, step)
        assert check_resumption(work, model, 2)


def test_augmix_operations_equal_those_of_a_cpu(gpu: str) -> None:
    """A GPU selects images by masks, a CPU groups them; the results must be equal."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 3, 32, 32), generator=generator, dtype=torch.uint8)
    images = torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).to(torch.uint8)  # smooth, like photographs
    chosen = torch.arange(400) % len(ALL)
    level = torch.randint(0, 10, (400,), generator=generator)
    sign = torch.randint(0, 2, (400,), generator=generator) * 2 - 1
    expected = apply_operations(images, chosen, level, sign)
    result = apply_operations(*(tensor.to(gpu) for tensor in (images, chosen, level, sign))).cpu()
    difference = (result.int() - expected.int()).abs()
    assert (difference <= 1).float().mean() > 0.999  # rounding decides at a threshold


def features(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(0, 1, (count, 512)), 0).astype(np.float32) * np.float32(0.3 + 0.1 * seed)


def test_sample_metrics_equal_those_of_a_cpu(gpu: str) -> None:
    samples, reference = features(1500, 1), features(2000, 2)
    cpu_gaussian, gpu_gaussian = gaussian_of(reference), gaussian_of(reference, gpu)
    expected = frechet_distance(gaussian_of(samples), cpu_gaussian)
    assert frechet_distance(gaussian_of(samples, gpu), gpu_gaussian) == pytest.approx(expected, rel=1e-7)
    for measure in (half_sample_deviation, extrapolated_distance):
        assert measure(samples, gpu_gaussian) == pytest.approx(measure(samples, cpu_gaussian), rel=1e-5)
    kid = kernel_distance(samples, reference, size=500, subsets=10)
    assert kernel_distance(samples, reference, size=500, subsets=10, device=gpu).mean == pytest.approx(
        kid.mean, rel=1e-4
    )
    pair = [torch.from_numpy(values) for values in (samples, reference)]
    on_cpu = precision_recall(*pair)
    on_gpu = precision_recall(*(values.to(gpu) for values in pair))
    assert (on_gpu.precision, on_gpu.recall) == pytest.approx((on_cpu.precision, on_cpu.recall), abs=2e-3)


@pytest.mark.weights
def test_inception_features_equal_those_of_a_cpu(gpu: str) -> None:
    reason = weights.missing(weights.INCEPTION)
    if reason is not None:
        pytest.skip(reason)
    configure_numerics("score", gpu, "tf32")  # scoring ignores this setting
    images = torch.randint(0, 256, (32, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected, result = (Inception("legacy", device)(images).cpu() for device in ("cpu", gpu))
    assert (result - expected).abs().max().item() <= 1e-3 * expected.abs().max().item()


def test_fp32_does_not_use_tf32(gpu: str) -> None:
    if gpu == "cpu":
        pytest.skip("a CPU has no TF32")
    x = torch.randn(512, 512, device=gpu)
    exact = x.double() @ x.double()
    errors = {}
    for precision in ("fp32", "tf32"):
        configure_numerics("train", gpu, precision)  # type: ignore[arg-type]
        errors[precision] = ((x @ x).double() - exact).abs().max().item()
    configure_numerics("train", gpu, "fp32")
    assert errors["fp32"] < 1e-3 < errors["tf32"], errors


@pytest.mark.parametrize("name", NAMES)
def test_step_as_cuda_graph_is_bit_identical_or_has_a_reason(gpu: str, name: str) -> None:
    if gpu == "cpu":
        pytest.skip("a CPU has no CUDA graphs")
    problem = Workload(spec_of(name, gpu)).graph_problem()
    print(f"{name}: {problem or 'CUDA graph'}")
    if name in ("se_dsconv", "inverted_residual_se", "resnet20", "dcgan_002"):
        assert problem is None


@pytest.mark.parametrize("jobs", [1, None])
def test_run_command_on_a_gpu_writes_complete_records(gpu: str, jobs: int | None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "submissions/inverted_residual_se", "submissions/dcgan_002"]
    command += ["--profile", "smoke", "--embedded", "--seeds", "2", "--device", gpu, "--results", str(tmp_path)]
    command += [] if jobs is None else ["--jobs", str(jobs)]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert result.returncode == 0, result.stderr[-3000:]
    records = [read_record(path) for path in record_paths(tmp_path)]
    runs = [record for record in records if record.cost is not None]
    assert len(runs) == 4
    for record in runs:
        assert record.identity.device_type == gpu.partition(":")[0]
        assert record.timing.inference_images_per_s is not None
        if gpu != "cpu":
            required = ("device", "driver", "cuda", "cudnn", "tf32_in_products", "tf32_in_convolutions")
            assert all(record.environment.get(name) is not None for name in required), record.environment
            assert not record.environment["tf32_in_convolutions"]
        print(json.dumps({**record.environment, "timing": record.timing.model_dump()}, indent=1, default=str))


def test_second_gpu_gives_the_losses_of_the_first(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    first, second = (Workload(spec_of("se_dsconv", device)) for device in ("cuda:0", "cuda:1"))
    losses = []
    for work in (first, second):
        configure_numerics("train", str(work.device), "fp32")
        work.start()
        losses.append(train_one_step(work.submission, work.batches, work.spec, 0)["loss"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
