"""All that training changes, as plain data, so that a resumed run equals an uninterrupted one bit for bit."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.loading import AnySubmission

STATE = "\0state"  # marks a state dict among plain dicts
PLAIN = (int, float, bool, str, type(None))


def capture_state(submission: AnySubmission, model: nn.Module) -> dict[str, Any]:
    """A copy-free snapshot of the network, the submission's attributes and Python's and numpy's generators.

    torch's generators are left out: they are seeded anew before each step.

    Raises:
        ContractError: If an attribute can neither be saved nor is known to be constant.
    """
    attributes = {
        name: _capture(value, f"self.{name}")
        for name, value in vars(submission).items()
        if name != "config" and value is not model
    }
    numpy_state: Any = np.random.get_state(legacy=False)
    return {
        "model": model.state_dict(),
        "attributes": attributes,
        "python_random": {"state": list(random.getstate()[1]), "gauss": random.getstate()[2]},
        "numpy_random": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
    }


def restore_state(submission: AnySubmission, model: nn.Module, state: dict[str, Any]) -> None:
    """Put a snapshot back into a submission whose ``init_training`` has just run.

    Raises:
        ContractError: If the snapshot does not fit it.
    """
    model.load_state_dict(state["model"])
    for name, saved in state["attributes"].items():
        if not hasattr(submission, name):
            raise ContractError(f"self.{name} is in the checkpoint, but init_training does not create it")
        setattr(submission, name, _restore(getattr(submission, name), saved, f"self.{name}"))
    python_random = state["python_random"]
    random.setstate((3, tuple(python_random["state"]), python_random["gauss"]))
    numpy_random = state["numpy_random"]
    key = numpy_random["key"].cpu().numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy_random["pos"], numpy_random["has_gauss"], numpy_random["gauss"]))


def _has_state(value: Any) -> bool:
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def _capture(value: Any, where: str) -> Any:
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Tensor):
        return value.detach()
    if _has_state(value):
        return {STATE: value.state_dict()}
    if isinstance(value, list | tuple):
        return [_capture(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _capture(item, f"{where}[{key!r}]") for key, item in value.items()}
    if callable(value) or isinstance(value, torch.device | torch.dtype | torch.Size):
        return None  # functions and descriptions do not change in training
    raise ContractError(
        f"{where} is a {type(value).__name__}, which cannot be checkpointed; give it state_dict and "
        "load_state_dict, or store tensors, numbers, strings, lists and dicts"
    )


def _restore(value: Any, saved: Any, where: str) -> Any:
    if isinstance(value, Tensor):
        with torch.no_grad():
            value.copy_(saved)
        return value
    if _has_state(value):
        value.load_state_dict(saved[STATE])
        return value
    if isinstance(saved, dict) and STATE in saved:
        raise ContractError(f"{where} had a state when it was saved; init_training has to create it")
    if isinstance(value, list | tuple):
        # A list may have grown while training; what was added holds plain values or tensors.
        known = [
            _restore(item, old, f"{where}[{i}]") for i, (item, old) in enumerate(zip(value, saved, strict=False))
        ]
        return type(value)(known + saved[len(known) :])
    if isinstance(value, dict):
        return {key: _restore(value.get(key), old, f"{where}[{key!r}]") for key, old in saved.items()}
    if callable(value) or isinstance(value, torch.device | torch.dtype | torch.Size):
        return value
    return saved
