"""The weights phase: files of participants are read without running code, or refused with what to do."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.contract.jobs.files import REPORT, WEIGHTS
from bench.contract.jobs.reports import HandedInWeights, read_report
from bench.contract.jobs.spec import JobSpec
from bench.errors import ContractError
from bench.job.phases.handed_in import convert_weights
from tests.job.making_jobs import make_spec

Write = Callable[[Path], Any]
STATE = {"head.weight": torch.arange(6.0).reshape(2, 3), "bn.count": torch.tensor(3)}


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    return make_spec(tmp_path)


def convert(spec: JobSpec, suffix: str, write: Write) -> HandedInWeights:
    write(spec.work / f"handed-in{suffix}")
    convert_weights(spec)
    return read_report(spec.work / REPORT["weights"], HandedInWeights)


def saved(content: object, **options: Any) -> Write:
    return lambda path: torch.save(content, path, **options)


def written(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".safetensors", lambda path: save_file(STATE, path, metadata={"format": "pt"})),
        (".pt", saved(STATE)),
        (".pth", saved(STATE, _use_new_zipfile_serialization=False)),
        (".pt", saved({"head.weight": torch.nn.Parameter(STATE["head.weight"]), "bn.count": STATE["bn.count"]})),
        (".pt", saved({**STATE, "head.weight": STATE["head.weight"].T.contiguous().T})),  # other strides
    ],
)
def test_tensors_of_a_file_are_kept_bit_by_bit(suffix: str, write: Write, spec: JobSpec) -> None:
    report = convert(spec, suffix, write)
    tensors = load_file(spec.work / WEIGHTS)
    assert tensors.keys() == STATE.keys() and all(torch.equal(tensors[name], STATE[name]) for name in STATE)
    kinds = {name: (tensor.dtype, tensor.shape) for name, tensor in report.tensors.items()}
    assert kinds == {"head.weight": ("float32", [2, 3]), "bn.count": ("int64", [])} and report.not_finite == []


def test_tensors_that_share_memory_are_separate_in_the_result(spec: JobSpec) -> None:
    shared = torch.ones(4)
    report = convert(spec, ".pt", saved({"a": shared, "b": shared}))
    assert report.tensors.keys() == load_file(spec.work / WEIGHTS).keys() == {"a", "b"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_named(value: float, spec: JobSpec) -> None:
    report = convert(spec, ".pt", saved({**STATE, "x": torch.tensor([1.0, value]).half()}))
    assert report.not_finite == ["x"]


class RunsCode:
    """An object whose unpickling would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("was-run",))


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    ("suffix", "write", "message"),
    [
        (
            ".pt",
            saved(torch.nn.Linear(1, 1)),
            "holds a Python object, torch.nn.modules.linear.Linear, and reading",
        ),
        (".pt", saved({"a": RunsCode()}), "posix.mkdir, and reading it could run code; save the state dict"),
        (".pt", written(pickle.dumps(RunsCode())), "not a file of torch.save"),
        (
            ".pt",
            saved({"state_dict": STATE, "epoch": 3}),
            "'state_dict' is a dict, not a tensor under a name; save",
        ),
        (".pt", saved([STATE["bn.count"]]), "holds a list, not tensors under names; save"),
        (".pt", saved({3: STATE["bn.count"]}), "3 is a Tensor, not a tensor under a name"),
        (".pt", saved({"a": torch.eye(2).to_sparse()}), "'a' is no dense tensor"),
        (".pt", written(b"hello world"), "not a file of torch.save"),
        (".pt", written(b""), "not a file of torch.save"),
        (".safetensors", written(b""), "not a safetensors file"),
        (".safetensors", written(b"hello world"), "not a safetensors file"),
    ],
)
def test_other_files_are_refused(
    suffix: str, write: Write, message: str, spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContractError) as raised:
        convert(spec, suffix, write)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert not (spec.work / WEIGHTS).exists() and not Path("was-run").exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_files_are_refused(suffix: str, spec: JobSpec) -> None:
    whole = spec.work / f"whole{suffix}"
    save_file(STATE, whole) if suffix == ".safetensors" else torch.save(STATE, whole)
    content = whole.read_bytes()
    for length in range(1, len(content), len(content) // 8):
        with pytest.raises(ContractError, match="not a (safetensors file|file of torch.save)"):
            convert(spec, suffix, written(content[:length]))
