"""What training hands over: read by safetensors' own writer, and refused with anything beside tensors."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.errors import ContractError
from bench.files import hash_file
from bench.harness.results.weights_file import check_weights

TENSORS = {"conv.weight": torch.randn(3, 5), "steps": torch.tensor(7), "empty": torch.zeros(0)}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def with_metadata(path: Path) -> None:
    save_file(TENSORS, path, metadata={"hidden": "0.1 0.2 0.3"})


def with_a_tail(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"hidden")


def with_blanks(path: Path) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(struct.pack("<Q", length + 64) + content[8 : 8 + length] + b" " * 64 + content[8 + length :])


def with_another_tensor(path: Path) -> None:
    save_file({**TENSORS, "more": torch.ones(2)}, path)


def test_tensors_alone(weights: Path) -> None:
    check_weights(weights, hash_file(weights))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_metadata, "header of the weights file holds more than tensors"),
        (with_blanks, "header of the weights file holds more than tensors"),
        (with_a_tail, "extra bytes after the tensors"),
        (lambda path: path.write_bytes(b"{}"), "not a safetensors file"),
        (lambda path: path.write_bytes(b"\xff" * 100), "not a safetensors file"),
        (lambda path: path.unlink(), "not a safetensors file"),
    ],
)
def test_anything_more(weights: Path, change: Callable[[Path], object], message: str) -> None:
    change(weights)
    digest = hash_file(weights) if weights.exists() else ""
    with pytest.raises(ContractError, match=message):
        check_weights(weights, digest)


def test_another_file_than_was_reported(weights: Path) -> None:
    digest = hash_file(weights)
    with_another_tensor(weights)
    with pytest.raises(ContractError, match="changed after training reported its hash"):
        check_weights(weights, digest)
