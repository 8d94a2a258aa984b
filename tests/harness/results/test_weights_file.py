"""The weights file of a training: written by safetensors, and refused if it contains more than tensors."""

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


def with_trailing_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"hidden")


def with_padded_header(path: Path) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(struct.pack("<Q", length + 64) + content[8 : 8 + length] + b" " * 64 + content[8 + length :])


def with_another_tensor(path: Path) -> None:
    save_file({**TENSORS, "more": torch.ones(2)}, path)


def test_valid_weights_file_is_accepted(weights: Path) -> None:
    check_weights(weights, hash_file(weights))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_metadata, "header of the weights file holds more than tensors"),
        (with_padded_header, "header of the weights file holds more than tensors"),
        (with_trailing_bytes, "extra bytes after the tensors"),
        (lambda path: path.write_bytes(b"{}"), "not a safetensors file"),
        (lambda path: path.write_bytes(b"\xff" * 100), "not a safetensors file"),
        (lambda path: path.unlink(), "not a safetensors file"),
    ],
)
def test_weights_file_with_additional_content_is_refused(
    weights: Path, change: Callable[[Path], object], message: str
) -> None:
    change(weights)
    digest = hash_file(weights) if weights.exists() else ""
    with pytest.raises(ContractError, match=message):
        check_weights(weights, digest)


def test_weights_file_changed_after_its_report_is_refused(weights: Path) -> None:
    digest = hash_file(weights)
    with_another_tensor(weights)
    with pytest.raises(ContractError, match="changed after training reported its hash"):
        check_weights(weights, digest)
