"""The choice of an execution, with made-up speeds; and trainings with torch.compile and bf16."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.contract.jobs.files import SPEC, WEIGHTS
from bench.contract.jobs.spec import Execution, JobSpec
from bench.contract.records.record import Throughput
from bench.errors import RunFailed
from bench.files import REPOSITORY
from bench.job.phases.training import Trainer
from bench.job.phases.verification import Verifier
from bench.job.steps.execution import COMPILED, ExecutionChoice, Step, choose_execution
from tests.job.making_jobs import make_spec

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++, which torch.compile calls")


def rate(per_second: float) -> Throughput:
    return Throughput(
        median_per_s=per_second, iqr_per_s=0, blocks=10, calls_per_block=1, items_per_call=1, dtype="float32"
    )


def choose(spec: JobSpec, eager: float, compiled: float, *, loss: float = 1.0, error: str = "") -> ExecutionChoice:
    """Choose between two speeds; ``loss`` is the loss of compiled steps, the loss of eager steps is 1."""
    current: list[Execution] = []

    def make_step(execution: Execution) -> Step:
        current[:] = [execution]
        if execution.compiled and error:
            raise RuntimeError(error)
        value = loss if execution.compiled else 1.0
        return lambda: {"loss": torch.tensor(value)}

    return choose_execution(spec, make_step, lambda step: rate(compiled if current[0].compiled else eager))


def long_spec(folder: Path, compile_mode: str, **fields: object) -> JobSpec:
    return make_spec(folder, steps=10_000, compile=compile_mode, runs_ahead=5, **fields)


def test_faster_execution_is_chosen_for_a_long_run(tmp_path: Path) -> None:
    spec = long_spec(tmp_path, "auto")
    faster = choose(spec, 10, 20)
    assert faster.execution.compiled
    assert faster.rate.median_per_s == 20
    assert faster.tried == {"eager": 10, "compiled": 20}
    slower = choose(spec, 20, 10)
    assert not slower.execution.compiled
    assert slower.rate.median_per_s == 20
    assert slower.tried == {"eager": 20, "compiled": 10}


def test_compilation_is_skipped_for_short_runs_and_when_off(tmp_path: Path) -> None:
    spec = long_spec(tmp_path, "auto")
    assert choose(spec, 1000, 2000).tried == {"eager": 1000}  # 50,000 steps in 50 seconds
    assert choose(spec.model_copy(update={"compile": "off"}), 1, 1000).tried == {"eager": 1}
    forced = choose(spec.model_copy(update={"compile": "on"}), 1000, 500)
    assert forced.execution.compiled and forced.rate.median_per_s == 500


def test_execution_with_different_losses_is_not_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = long_spec(tmp_path, "auto")
    assert not choose(spec, 10, 20, loss=1.01).execution.compiled
    assert "the losses of the first 3 steps differ by 0.01" in capsys.readouterr().out
    assert not choose(spec, 10, 20, loss=float("nan")).execution.compiled
    rounded = {"execution": Execution(precision="bf16")}
    assert choose(spec.model_copy(update=rounded), 10, 20, loss=1.01).execution == Execution(
        precision="bf16", compiled=True
    )


def test_compiler_failure_is_an_error_only_with_compile_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = long_spec(tmp_path, "auto")
    assert not choose(spec, 10, 20, error="no\ncompiler").execution.compiled
    assert "not compiled: RuntimeError: no compiler" in capsys.readouterr().out
    with pytest.raises(RunFailed, match="--compile on: torch.compile does not work here .*no compiler"):
        choose(spec.model_copy(update={"compile": "on"}), 10, 20, error="no\ncompiler")


def trained(spec: JobSpec) -> dict[str, Tensor]:
    Trainer(spec).run()
    return load_file(spec.work / WEIGHTS)


@needs_compiler
@pytest.mark.filterwarnings("ignore")  # warnings of the compiler
def test_compiled_training_has_the_losses_of_the_eager_one(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "compiled").mkdir()
    spec = make_spec(tmp_path / "compiled", execution=Execution(compiled=True))
    plain, compiled = Trainer(make_spec(tmp_path / "plain")).run(), Trainer(spec).run()
    assert (spec.work / "compiled").is_dir(), "the compiler was not called"
    # Losses, not weights: where a gradient is nearly 0, rounding decides the direction of Adam's step.
    assert compiled.curves.values["loss"] == pytest.approx(plain.curves.values["loss"], rel=1e-3)
    assert (
        load_file(spec.work / WEIGHTS).keys() == load_file(tmp_path / "plain" / "work-tiny_net" / WEIGHTS).keys()
    )
    chosen = Verifier(spec.model_copy(update={"compile": "on", "speed_seconds": 0.1})).run()
    assert not chosen.problems
    assert set(chosen.tried) == {"eager", "compiled"}
    assert chosen.execution.compiled


def test_bf16_training_repeats_and_keeps_float32_weights(tmp_path: Path) -> None:
    for name in ("plain", "first", "second"):
        (tmp_path / name).mkdir()
    rounded = Execution(precision="bf16")
    plain = trained(make_spec(tmp_path / "plain"))
    first, second = (trained(make_spec(tmp_path / name, execution=rounded)) for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {tensor.dtype for tensor in first.values() if tensor.is_floating_point()} == {torch.float32}
    assert any(not torch.equal(first[name], plain[name]) for name in plain)
    for name, tensor in plain.items():
        torch.testing.assert_close(first[name], tensor, rtol=0.1, atol=0.05)


@needs_compiler
@pytest.mark.processes
def test_compiled_code_is_reused_by_the_next_run(tmp_path: Path) -> None:
    """One process per run: within a process, the compiler caches in memory."""
    shared, libraries = tmp_path / "shared", []
    shared.mkdir()
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        spec = make_spec(tmp_path / str(seed), seed=seed, execution=Execution(compiled=True), compile_cache=shared)
        (spec.work / SPEC).write_text(spec.model_dump_json())
        command = [sys.executable, "-m", "bench.job.main", "train", str(spec.work)]
        subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
        assert (spec.work / WEIGHTS).exists() and not (spec.work / COMPILED).exists()
        libraries.append({path.name for path in shared.rglob("*.so")})
    assert libraries[0] and libraries[0] == libraries[1]  # the second run compiled nothing
