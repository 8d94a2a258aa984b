"""Capture all training state as plain data, so that a resumed run is bit-identical to an uninterrupted one.

A snapshot contains only types that a checkpoint may contain: tensors, numbers, strings, lists, tuples and dicts.
Other objects are encoded as a dict with a marker key, and restored into the objects that a fresh ``init_training``
creates.
"""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.errors import ContractError
from bench.job.checkpoints.capture import PLAIN_ATTRIBUTES, Capture, gradients, module_extras
from bench.job.checkpoints.restore import Restoration
from bench.job.loading import AnySubmission


def capture_state(submission: AnySubmission, model: nn.Module) -> dict[str, Any]:
    """Return a snapshot of the network, the submission's attributes and the generators of Python and numpy.

    Tensors are not copied. torch's generators are left out, because they are seeded before each step.

    Raises:
        ContractError: If an attribute can neither be saved nor is known to be constant.
    """
    capture = Capture(model)
    capture.known[id(submission)] = "self"
    capture.known[id(submission.config)] = "self.config"
    attributes = {
        name: capture.encode(value, f"self.{name}")
        for name, value in vars(submission).items()
        if name != "config" and value is not model
    }
    numpy_state: Any = np.random.get_state(legacy=False)
    return {
        "model": model.state_dict(),
        "gradients": gradients(model),
        "extras": module_extras(model),
        "kinds": capture.kinds,
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
    """Restore a snapshot into a submission whose ``init_training`` has just run.

    Raises:
        ContractError: If the snapshot does not fit the submission.
    """
    check_kinds_unchanged(capture_state(submission, model)["kinds"], {"kinds": state.get("kinds", {})})
    restoration = Restoration(model)
    restoration.module(model, state["model"], state.get("gradients", {}), state.get("extras", {}))
    restoration.known["self"] = submission
    restoration.known["self.config"] = submission.config
    for name, saved in state["attributes"].items():
        if not hasattr(submission, name):
            raise ContractError(
                f"self.{name} is in the checkpoint, but init_training does not create it; create it there"
            )
        setattr(submission, name, restoration.restore(getattr(submission, name), saved, f"self.{name}"))
    python_random = state["python_random"]
    random.setstate((3, tuple(python_random["state"]), python_random["gauss"]))
    numpy_random = state["numpy_random"]
    key = numpy_random["key"].cpu().numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy_random["pos"], numpy_random["has_gauss"], numpy_random["gauss"]))


def check_kinds_unchanged(initial: dict[str, str], state: dict[str, Any]) -> None:
    """Refuse an attribute that now has another class or another function, which no checkpoint could restore.

    Args:
        initial: The ``kinds`` of the snapshot after ``init_training``: attribute path -> class or function.
        state: A later snapshot.

    Raises:
        ContractError: Naming the attribute.
    """
    for where, now in state["kinds"].items():
        if initial.get(where, now) != now:
            raise ContractError(
                f"{where} was {initial[where]} after init_training and is {now} now, which a checkpoint cannot "
                "restore; create all of them in init_training and store a number that selects the one in use"
            )


@contextmanager
def preserved_state(submission: AnySubmission, model: nn.Module) -> Iterator[None]:
    """Undo all changes that the block makes to the network and the submission's attributes."""
    before = copy.deepcopy(capture_state(submission, model))
    yield
    restore_state(submission, model, before)


def first_difference(one: Any, other: Any, where: str = "") -> str | None:
    """Return the path of the first difference of two snapshots; None if they are bit-identical. NaN equals NaN."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        equal = one.shape == other.shape and one.dtype == other.dtype and _same_bits(one, other)
        return None if equal else where
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return where
        # load_state_dict of an object may set its plain attributes differently.
        pairs = [(one[key], other[key], f"{where}.{key}".lstrip(".")) for key in one if key != PLAIN_ATTRIBUTES]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return where
        pairs = [(a, b, f"{where}[{index}]") for index, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other or (one != one and other != other) else where  # noqa: PLR0124 - NaN
    return next((path for pair in pairs if (path := first_difference(*pair)) is not None), None)


def readable_path(difference: str) -> str:
    """Return the path that ``first_difference`` returned without the snapshot's internal keys."""
    return difference.removeprefix("attributes.").replace("\0", "")


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether all values are equal, where NaN equals NaN."""
    if one.is_sparse or other.is_sparse:
        one, other = one.to_dense(), other.to_dense()
    other = other.to(one.device)  # a tensor that each forward pass sets may be on the host before the first
    return bool(((one == other) | ((one != one) & (other != other))).all())  # noqa: PLR0124 - NaN
