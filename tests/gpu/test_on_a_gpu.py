"""What only a GPU can show: the same numbers as on a CPU, bits that repeat, and a host that never waits.

``pytest -m gpu -p no:xdist`` takes some two minutes there. It needs pytest and the core install, nothing else.
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

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),
]  # of CUDA's and cuDNN's own there may be some

FOUND, _ = discover([REPOSITORY / "submissions"], load_tracks())
NAMES = [found.name for found in FOUND]


def spec_of(name: str, device: str) -> JobSpec:
    (found,) = [found for found in FOUND if found.name == name]
    configure_numerics("verify", device, "fp32")
    return verification_spec(found, "base", device).model_copy(update={"work": Path(tempfile.gettempdir())})


@pytest.mark.parametrize("name", NAMES)
def test_a_submission_verifies_with_the_cpu_s_counts(gpu: str, name: str) -> None:
    found = Verifier(spec_of(name, gpu)).run()
    expected = Verifier(spec_of(name, "cpu")).run()
    assert found.problems == [] and found.cost is not None and expected.cost is not None
    assert found.cost.macs_per_image == expected.cost.macs_per_image
    assert found.cost.training_flops_per_step == expected.cost.training_flops_per_step
    assert found.cost.params == expected.cost.params
    print(f"{name}: {found.tested}, {found.warnings}")


@pytest.mark.parametrize("name", networks())
def test_networks_of_the_field_cost_what_they_cost_on_a_cpu(gpu: str, name: str, tmp_path: Path) -> None:
    """By closed forms; recurrent layers and attention have kernels of their own here."""
    spec = make_spec(tmp_path, overrides={"network": name}, device=gpu)
    (spec.folder / "model.py").write_text(MODEL)
    free = spec.protocol.model_copy(update={"caps": Caps()})
    found = Verifier(spec.model_copy(update={"protocol": free})).run()
    assert found.problems == [] and found.cost is not None
    assert (found.cost.params, found.cost.macs_per_image) == networks()[name][1]
    assert set(found.cost.uncounted_operators) == ({UNCOUNTED[name]} if name in UNCOUNTED else set())


@pytest.mark.parametrize("name", NAMES)
def test_a_network_answers_as_on_a_cpu(gpu: str, name: str) -> None:
    on_cpu, on_gpu = Workload(spec_of(name, "cpu")), Workload(spec_of(name, gpu))
    if not isinstance(on_cpu.submission, Classifier) or not isinstance(on_gpu.submission, Classifier):
        pytest.skip("a generator draws its noise where it is")
    plain, other = on_cpu.start(), on_gpu.start()
    other.load_state_dict(plain.state_dict())
    with torch.no_grad():
        expected = on_cpu.submission.predict(plain.eval(), on_cpu.images[:64])
        found = on_gpu.submission.predict(other.eval(), on_gpu.images[:64]).cpu()
    scale = expected.abs().max().item()
    assert (found - expected).abs().max().item() <= 1e-3 * scale  # TF32 would be some 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_no_step_makes_the_host_wait(gpu: str, name: str) -> None:
    work = Workload(spec_of(name, gpu))
    work.start()
    for step in range(3):
        train_one_step(work.submission, work.batches, work.spec, step)
    with WaitRecorder(device=gpu) as recorder:
        for step in range(3, 5):
            train_one_step(work.submission, work.batches, work.spec, step)
    waits = {wait for wait in recorder.waits if not wait.startswith("_rotation.py")}  # which waits to be mended
    assert waits == set()


@pytest.mark.parametrize("name", NAMES)
def test_after_a_resume_nothing_waits_and_counters_are_where_they_were(
    gpu: str, name: str, tmp_path: Path
) -> None:
    work = Workload(spec_of(name, gpu))
    model = work.start()
    for step in range(2):
        train_one_step(work.submission, work.batches, work.spec, step)
    before = places(capture_state(work.submission, model))
    save_checkpoint(tmp_path / "checkpoint.pt", "run", {"state": capture_state(work.submission, model)})
    content = load_checkpoint(tmp_path / "checkpoint.pt", "run", work.device)
    assert content is not None
    again = Workload(spec_of(name, gpu))
    resumed = again.start()
    restore_state(again.submission, resumed, content["state"])
    assert places(capture_state(again.submission, resumed)) == before
    train_one_step(again.submission, again.batches, again.spec, 2)
    with WaitRecorder(device=gpu) as recorder:
        train_one_step(again.submission, again.batches, again.spec, 3)
    assert [wait for wait in recorder.waits if not wait.startswith("_rotation.py")] == []


def places(value: object) -> list[str]:
    """The kinds of device of all tensors in a state, in order."""
    if isinstance(value, Tensor):
        return [value.device.type]
    if isinstance(value, dict):
        return [place for key in sorted(value, key=str) for place in places(value[key])]
    if isinstance(value, list | tuple):
        return [place for item in value for place in places(item)]
    return []


@pytest.mark.parametrize("name", ["se_dsconv", "inverted_residual_se", "resnet20", "dcgan_002"])
def test_a_step_from_a_checkpoint_has_the_same_bits(gpu: str, name: str) -> None:
    work = Workload(spec_of(name, gpu))
    model = work.start()
    with deterministic_kernels(work.device):
        for step in range(2):
            train_one_step(work.submission, work.batches, work.spec, step)
        assert check_resumption(work, model, 2)


def test_augmix_s_operations_are_those_of_a_cpu(gpu: str) -> None:
    """There images are chosen by masks, on a CPU they are grouped: two ways to the same pictures."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 3, 32, 32), generator=generator, dtype=torch.uint8)
    images = torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).to(torch.uint8)  # smooth, as pictures are
    chosen = torch.arange(400) % len(ALL)
    level = torch.randint(0, 10, (400,), generator=generator)
    sign = torch.randint(0, 2, (400,), generator=generator) * 2 - 1
    expected = apply_operations(images, chosen, level, sign)
    found = apply_operations(*(tensor.to(gpu) for tensor in (images, chosen, level, sign))).cpu()
    apart = (found.int() - expected.int()).abs()
    assert (apart <= 1).float().mean() > 0.999  # where a threshold is met, the last bit decides


def features(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(0, 1, (count, 512)), 0).astype(np.float32) * np.float32(0.3 + 0.1 * seed)


def test_figures_of_features_are_those_of_a_cpu(gpu: str) -> None:
    ours, reference = features(1500, 1), features(2000, 2)
    known, there = gaussian_of(reference), gaussian_of(reference, gpu)
    expected = frechet_distance(gaussian_of(ours), known)
    assert frechet_distance(gaussian_of(ours, gpu), there) == pytest.approx(expected, rel=1e-7)
    for measure in (half_sample_deviation, extrapolated_distance):
        assert measure(ours, there) == pytest.approx(measure(ours, known), rel=1e-5)
    kid = kernel_distance(ours, reference, size=500, subsets=10)
    assert kernel_distance(ours, reference, size=500, subsets=10, device=gpu).mean == pytest.approx(
        kid.mean, rel=1e-4
    )
    pair = [torch.from_numpy(values) for values in (ours, reference)]
    shares = precision_recall(*pair)
    found = precision_recall(*(values.to(gpu) for values in pair))
    assert (found.precision, found.recall) == pytest.approx((shares.precision, shares.recall), abs=2e-3)


@pytest.mark.weights
def test_inception_sees_the_same(gpu: str) -> None:
    reason = weights.missing(weights.INCEPTION)
    if reason is not None:
        pytest.skip(reason)
    configure_numerics("score", gpu, "tf32")  # which scoring does not follow
    images = torch.randint(0, 256, (32, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected, found = (Inception("legacy", device)(images).cpu() for device in ("cpu", gpu))
    assert (found - expected).abs().max().item() <= 1e-3 * expected.abs().max().item()


def test_fp32_is_not_tf32(gpu: str) -> None:
    if gpu == "cpu":
        pytest.skip("a CPU has none")
    x = torch.randn(512, 512, device=gpu)
    exact = x.double() @ x.double()
    errors = {}
    for precision in ("fp32", "tf32"):
        configure_numerics("train", gpu, precision)  # type: ignore[arg-type]
        errors[precision] = ((x @ x).double() - exact).abs().max().item()
    configure_numerics("train", gpu, "fp32")
    assert errors["fp32"] < 1e-3 < errors["tf32"], errors


@pytest.mark.parametrize("name", NAMES)
def test_a_step_as_one_graph_leaves_the_same_bits_or_says_why(gpu: str, name: str) -> None:
    if gpu == "cpu":
        pytest.skip("a CPU has no graphs")
    problem = Workload(spec_of(name, gpu)).graph_problem()
    print(f"{name}: {problem or 'a graph'}")
    if name in ("se_dsconv", "inverted_residual_se", "resnet20", "dcgan_002"):
        assert problem is None


@pytest.mark.parametrize("jobs", [1, None])
def test_a_run_from_the_command_line(gpu: str, jobs: int | None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "submissions/inverted_residual_se", "submissions/dcgan_002"]
    command += ["--profile", "smoke", "--embedded", "--seeds", "2", "--device", gpu, "--results", str(tmp_path)]
    command += [] if jobs is None else ["--jobs", str(jobs)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]
    records = [read_record(path) for path in record_paths(tmp_path)]
    runs = [record for record in records if record.cost is not None]
    assert len(runs) == 4
    for record in runs:
        assert record.identity.device_type == gpu.partition(":")[0]
        assert record.timing.inference_images_per_s is not None
        if gpu != "cpu":
            wanted = ("device", "driver", "cuda", "cudnn", "tf32_in_products", "tf32_in_convolutions")
            assert all(record.environment.get(name) is not None for name in wanted), record.environment
            assert not record.environment["tf32_in_convolutions"]
        print(json.dumps({**record.environment, "timing": record.timing.model_dump()}, indent=1, default=str))


def test_the_second_gpu_is_seeded_and_used(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    first, second = (Workload(spec_of("se_dsconv", device)) for device in ("cuda:0", "cuda:1"))
    losses = []
    for work in (first, second):
        configure_numerics("train", str(work.device), "fp32")
        work.start()
        losses.append(train_one_step(work.submission, work.batches, work.spec, 0)["loss"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
