"""The weights phase: read a weights file that was trained elsewhere, and write its tensors as safetensors.

It loads no code of the submission. The file comes from a participant: it is read here, in the sandbox, and nothing
but tensors leaves this process.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bench.contract.jobs.files import HANDED_IN, REPORT, WEIGHTS
from bench.contract.jobs.reports import HandedInWeights, StoredTensor
from bench.contract.jobs.spec import JobSpec
from bench.errors import ContractError
from bench.files import hash_file, write_bytes
from bench.job.steps.final_weights import dtype_name
from bench.text import one_line

REMEDY = "save the state dict of the network alone: torch.save(model.state_dict(), 'weights.pt')"
OBJECT = re.compile(r"GLOBAL ([\w.]+)")  # in the message of torch's unpickler


def convert_weights(spec: JobSpec) -> None:
    """Run the weights phase and write its report.

    Raises:
        ContractError: If the file is no weights file, or holds anything except dense tensors under names.
    """
    (path,) = spec.work.glob(f"{HANDED_IN}.*")
    weights = _tensors(_read(path))
    try:
        write_bytes(spec.work / WEIGHTS, save(weights))
    except (ValueError, KeyError) as error:
        raise ContractError(f"safetensors cannot store it ({one_line(str(error), 200)}); {REMEDY}") from None
    report = HandedInWeights(
        tensors={name: StoredTensor(dtype=dtype_name(t), shape=list(t.shape)) for name, t in weights.items()},
        not_finite=[name for name, tensor in weights.items() if not _is_finite(tensor)],
        sha256=hash_file(spec.work / WEIGHTS),
    )
    write_bytes(spec.work / REPORT["weights"], report.model_dump_json(indent=1).encode())


def _read(path: Path) -> Any:
    """Return the content of the file; of a file of ``torch.save`` only if reading it runs no code."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            raise ContractError(f"not a safetensors file ({one_line(str(error), 200)}); write it again") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        named = OBJECT.search(str(error))
        if named is None:
            raise ContractError(f"not a file of torch.save, or a damaged one; {REMEDY}") from None
        raise ContractError(
            f"holds a Python object, {named[1]}, and reading it could run code; {REMEDY}"
        ) from None
    except Exception as error:  # torch answers a damaged file with many kinds of errors
        reason = one_line(f"{type(error).__name__} {error}", 200)
        raise ContractError(f"not a file of torch.save, or a damaged one ({reason}); {REMEDY}") from None


def _tensors(content: Any) -> dict[str, Tensor]:
    """Return the tensors on the CPU, without shared storages."""
    if not isinstance(content, Mapping):
        raise ContractError(f"holds a {type(content).__name__}, not tensors under names; {REMEDY}")
    result = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            shown = one_line(repr(name), 60)
            raise ContractError(f"{shown} is a {type(tensor).__name__}, not a tensor under a name; {REMEDY}")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ContractError(f"{one_line(repr(name), 60)} is no dense tensor; {REMEDY}")
        result[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return result


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all()) if tensor.is_floating_point() or tensor.is_complex() else True
