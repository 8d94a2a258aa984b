"""Numerics of a phase: one rounding for all phases that run a submission, the device, deterministic kernels."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.contract.jobs.files import Phase
from bench.contract.jobs.spec import Execution, Precision
from bench.errors import ContractError
from bench.job import main as job_main
from bench.job.checkpoints.checkpoint import _to, load_checkpoint, run_id, save_checkpoint
from bench.job.checks.monkeypatching import MonkeypatchDetector
from bench.job.phases.training import seed_generators
from bench.job.phases.verification import Verifier
from bench.job.steps import numerics
from tests.job.making_jobs import make_spec


@pytest.fixture(autouse=True)
def restore_settings() -> Iterator[None]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark
    yield
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("phase", "precision", "rounds"),
    [
        ("verify", "fp32", False),
        ("train", "fp32", False),
        ("evaluate", "fp32", False),
        ("train", "bf16", False),
        ("verify", "tf32", True),
        ("train", "tf32", True),
        ("evaluate", "tf32", True),
        ("profile", "tf32", True),
        ("score", "tf32", False),
        ("score_real", "tf32", False),
    ],
)
def test_convolutions_and_matrix_products_use_the_same_rounding(
    phase: Phase, precision: Precision, rounds: bool
) -> None:
    torch.backends.cudnn.allow_tf32 = not rounds
    numerics.configure_numerics(phase, "cpu", precision)
    assert torch.backends.cudnn.allow_tf32 is rounds
    assert torch.backends.cuda.matmul.allow_tf32 is rounds
    assert torch.get_float32_matmul_precision() == ("high" if rounds else "highest")


def test_numerics_are_configured_before_the_phase_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, execution=Execution(precision="tf32"))
    (spec.work / "spec.json").parent.mkdir(parents=True, exist_ok=True)
    (spec.work / "spec.json").write_text(spec.model_dump_json())
    settings_seen: list[bool] = []
    monkeypatch.setattr(job_main, "die_with_parent", lambda: None)
    monkeypatch.setattr(job_main, "limit_resources", lambda spec: None)
    monkeypatch.setattr(
        "bench.job.phases.training.train", lambda spec: settings_seen.append(torch.backends.cudnn.allow_tf32)
    )
    monkeypatch.setattr(sys, "argv", ["main", "train", str(spec.work)])
    torch.backends.cudnn.allow_tf32 = False
    assert job_main.main() == 0
    assert settings_seen == [True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("torch.set_float32_matmul_precision('high')", "torch.backends.cuda.matmul.allow_tf32 was False"),
        ("torch.set_float32_matmul_precision('medium')", "torch.backends.cuda.matmul.allow_tf32 was False"),
        ("torch.backends.cudnn.allow_tf32 = True", "torch.backends.cudnn.allow_tf32 was False"),
    ],
)
def test_submission_that_changes_tf32_settings_is_refused(change: str, message: str) -> None:
    numerics.configure_numerics("train", "cpu", "fp32")
    detector = MonkeypatchDetector()
    exec(change, {"torch": torch})
    with pytest.raises(ContractError, match=f"{message} and is now True; leave it to `bench run --precision`"):
        detector.check_unchanged()
    torch.set_float32_matmul_precision("highest")


def test_current_device_is_the_requested_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for device in ("cpu", "cuda", "cuda:1"):
        numerics.configure_numerics("train", device, "fp32")
    assert chosen == [0, 1]


@pytest.mark.parametrize(
    ("phase", "device", "measures"),
    [("train", "cuda", True), ("verify", "cuda:1", True), ("evaluate", "cuda", False), ("score", "cuda", False),
     ("train", "cpu", False)],
)  # fmt: skip
def test_cudnn_measures_its_algorithms_for_training_steps_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, device: str, measures: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    torch.backends.cudnn.benchmark = False
    numerics.configure_numerics(phase, device, "fp32")
    assert torch.backends.cudnn.benchmark is measures


def test_seed_generators_seeds_the_current_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    seed_generators(5, torch.device("cuda", 1))
    assert seeded == [5]


def test_deterministic_kernels_are_enabled_on_a_gpu_only() -> None:
    def settings() -> tuple[bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return cudnn.deterministic, cudnn.benchmark, torch.are_deterministic_algorithms_enabled()

    torch.backends.cudnn.benchmark = True
    before = settings()
    with numerics.deterministic_kernels(torch.device("cpu")):
        assert settings() == before
    with numerics.deterministic_kernels(torch.device("cuda")):
        assert settings() == (True, False, True)
        assert torch.is_deterministic_algorithms_warn_only_enabled()  # operators without such a kernel still run
    assert settings() == before


@pytest.mark.parametrize(("size", "passes"), [(1e-6, True), (1.0, False)])
def test_nondeterministic_kernel_is_a_warning_up_to_rounding(
    size: float, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise on a CPU stands for a GPU's atomic additions; noise above rounding means another network."""
    noise = f"logits = logits if self.training else logits + {size} * torch.rand_like(logits)"
    spec = make_spec(tmp_path, "noisy", {"forward": noise})
    with pytest.raises(ContractError, match="gives other outputs than the trained network"):
        Verifier(spec).run()  # no nondeterministic kernels are expected on a CPU
    monkeypatch.setattr("bench.job.checks.rebuilt_network.may_be_nondeterministic", lambda device: True)
    if passes:
        report = Verifier(spec).run()
        assert not report.problems
        assert any("uses a nondeterministic kernel on this device" in warning for warning in report.warnings)
    else:
        with pytest.raises(ContractError, match="gives other outputs than the trained network"):
            Verifier(spec).run()


def test_checkpoint_restores_each_tensor_to_its_device_type(tmp_path: Path) -> None:
    """An optimizer's step counter must stay on the CPU: on a GPU each step would wait for it."""
    locate = _to(torch.device("meta"))  # stands for a GPU: the device of a moved tensor shows it
    storage = torch.ones(3).untyped_storage()
    assert locate(storage, "cpu").device.type == "cpu"
    assert locate(storage, "cuda:0").device.type == "meta"
    assert locate(storage, "cuda:3").device.type == "meta"
    save_checkpoint(tmp_path / "checkpoint.pt", "run", {"step": torch.tensor(3.0)})
    content = load_checkpoint(tmp_path / "checkpoint.pt", "run", torch.device("meta"))
    assert content is not None
    step: Tensor = content["step"]
    assert step.device.type == "cpu" and step.item() == 3.0


def test_run_id_depends_on_the_device_type_but_not_its_index(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    runs = {device: run_id(spec.model_copy(update={"device": device})) for device in ("cpu", "cuda", "cuda:1")}
    assert runs["cuda"] == runs["cuda:1"] != runs["cpu"]
    machine_dependent = {"machine": {"cores": 3}, "compiled": tmp_path, "threads": 7}
    assert run_id(spec.model_copy(update=machine_dependent)) == run_id(spec)
