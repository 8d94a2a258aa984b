"""Checkpoints: written atomically, tied to the run they belong to, read without unpickling code."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.serialization import default_restore_location

from bench.contract.jobs import JobSpec
from bench.files import atomic_path, hash_json


def save_checkpoint(path: Path, run: str, content: dict[str, Any]) -> None:
    """Write ``content`` so that a crash leaves either the previous checkpoint or this one."""
    with atomic_path(path) as partial:
        torch.save({"run": run, **content}, partial)


def load_checkpoint(path: Path, run: str, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint of ``run``; None if there is none, or it is damaged or another run's.

    A damaged or foreign one is set aside under the name ``*.unusable``, never silently used.
    """
    if not path.exists():
        return None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Validating sparse tensor invariants")
            content: dict[str, Any] = torch.load(path, map_location=_to(device), weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        print(f"{path.name}: unusable ({error}); starting again from step 0")
        content = {}
    if content.get("run") != run:
        path.replace(path.with_suffix(".unusable"))
        return None
    return content


def _to(device: torch.device) -> Callable[[Any, str], Any]:
    """Where to put what is read: on the CPU what was there, as optimizers' counters and random states are."""

    def place(storage: Any, saved_on: str) -> Any:
        return default_restore_location(storage, "cpu" if saved_on == "cpu" else str(device))

    return place


# Of a specification: places, and what affects speed or safety only.
BESIDE_THE_POINT = (
    "work", "folder", "threads", "checkpoint_seconds", "speed_seconds", "speed_images",
    "memory_bytes", "file_bytes", "execution", "compile", "runs_ahead", "until", "machine", "compiled",
)  # fmt: skip


def run_id(spec: JobSpec) -> str:
    """What ties a checkpoint to its run: the specification, without paths and what only affects speed."""
    content = spec.model_dump(mode="json", exclude={*BESIDE_THE_POINT, "data"})
    content["device"] = spec.device.partition(":")[0]  # the second GPU goes on where the first left off
    arrays = [spec.data.train_images, spec.data.train_labels]
    return hash_json({**content, "data": [spec.data.name, *(array and array.sha256 for array in arrays)]})
