"""Write checkpoints atomically with their run ID, and read them without unpickling code."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.serialization import default_restore_location

from bench.contract.jobs.spec import JobSpec
from bench.files import atomic_path, hash_json


def save_checkpoint(path: Path, run: str, content: dict[str, Any]) -> None:
    """Write ``content`` atomically: a crash leaves either the previous checkpoint or the new one."""
    with atomic_path(path) as partial:
        torch.save({"run": run, **content}, partial)


def load_checkpoint(path: Path, run: str, device: torch.device) -> dict[str, Any] | None:
    """Read the checkpoint of ``run``; return None if there is none, or it is damaged or belongs to another run.

    A damaged or foreign file is renamed to ``*.unusable``.

    Args:
        path: The checkpoint file.
        run: The run ID from ``run_id``.
        device: Device for the tensors that were not on the CPU.
    """
    if not path.exists():
        return None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Validating sparse tensor invariants")
            content: dict[str, Any] = torch.load(path, map_location=_to(device), weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        print(f"{path.name}: unusable checkpoint ({error}); restarting without it")
        content = {}
    if content.get("run") != run:
        path.replace(path.with_suffix(".unusable"))
        return None
    return content


def _to(device: torch.device) -> Callable[[Any, str], Any]:
    """Return a ``map_location``: CPU tensors, such as optimizers' counters and random states, stay on the CPU."""

    def place(storage: Any, saved_on: str) -> Any:
        return default_restore_location(storage, "cpu" if saved_on == "cpu" else str(device))

    return place


# Fields of a specification that do not identify a run: paths, and settings that affect only speed or safety.
NOT_IN_RUN_ID = (
    "work", "folder", "threads", "checkpoint_seconds", "speed_seconds", "speed_images",
    "memory_bytes", "file_bytes", "execution", "compile", "runs_ahead", "until", "machine", "compile_cache",
)  # fmt: skip


def run_id(spec: JobSpec) -> str:
    """Return a hash that identifies the run of a checkpoint: the specification without ``NOT_IN_RUN_ID``."""
    content = spec.model_dump(mode="json", exclude={*NOT_IN_RUN_ID, "data"})
    content["device"] = spec.device.partition(":")[0]  # a run may resume on another GPU
    arrays = [spec.data.train_images, spec.data.train_labels]
    return hash_json({**content, "data": [spec.data.name, *(array and array.sha256 for array in arrays)]})
