"""All that training changes, as plain data, so that a resumed run equals an uninterrupted one bit for bit.

What is captured holds only what a checkpoint may: tensors, numbers, strings, lists, tuples and dicts. Anything
else is written as a dict with one marked key, and restored into what ``init_training`` has created anew.
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
from bench.job.capturing import KEPT, Capture, gradients, module_extras
from bench.job.loading import AnySubmission
from bench.job.restoring import Restoration


def capture_state(submission: AnySubmission, model: nn.Module) -> dict[str, Any]:
    """A copy-free snapshot of the network, the submission's attributes and Python's and numpy's generators.

    torch's generators are left out: they are seeded anew before each step.

    Raises:
        ContractError: If an attribute can neither be saved nor is known to be constant.
    """
    capture = Capture(model)
    capture.known[id(submission)] = "self"
    capture.known[id(submission.config)] = "self.config"
    attributes = {
        name: capture.of(value, f"self.{name}")
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
    """Put a snapshot back into a submission whose ``init_training`` has just run.

    Raises:
        ContractError: If the snapshot does not fit it.
    """
    refuse_changed_kinds(capture_state(submission, model)["kinds"], {"kinds": state.get("kinds", {})})
    restoration = Restoration(model)
    restoration.module(model, state["model"], state.get("gradients", {}), state.get("extras", {}))
    restoration.known["self"] = submission
    restoration.known["self.config"] = submission.config
    for name, saved in state["attributes"].items():
        if not hasattr(submission, name):
            raise ContractError(f"self.{name} is in the checkpoint, but init_training does not create it")
        setattr(submission, name, restoration.of(getattr(submission, name), saved, f"self.{name}"))
    python_random = state["python_random"]
    random.setstate((3, tuple(python_random["state"]), python_random["gauss"]))
    numpy_random = state["numpy_random"]
    key = numpy_random["key"].cpu().numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy_random["pos"], numpy_random["has_gauss"], numpy_random["gauss"]))


def refuse_changed_kinds(at_first: dict[str, str], state: dict[str, Any]) -> None:
    """Refuse what no checkpoint could bring back: another function, or an object of another class, in a place.

    Args:
        at_first: The ``kinds`` of the snapshot after ``init_training``.
        state: A snapshot.

    Raises:
        ContractError: Naming the place.
    """
    for where, now in state["kinds"].items():
        if at_first.get(where, now) != now:
            raise ContractError(
                f"{where} was {at_first[where]} after init_training and is {now} now, which a checkpoint cannot "
                "bring back; make all of them in init_training and keep a number that says which one is in use"
            )


@contextmanager
def undisturbed(submission: AnySubmission, model: nn.Module) -> Iterator[None]:
    """Whatever the block does to the network and to what hangs on the submission is taken back."""
    kept = copy.deepcopy(capture_state(submission, model))
    yield
    restore_state(submission, model, kept)


def first_difference(one: Any, other: Any, where: str = "") -> str | None:
    """Where two snapshots differ in a bit; None if they do not. Numbers that are not numbers are alike."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype and _same_bits(one, other)
        return None if alike else where
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return where
        # What loading a state dict makes of an object's other numbers is the object's affair.
        pairs = [(one[key], other[key], f"{where}.{key}".lstrip(".")) for key in one if key != KEPT]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return where
        pairs = [(a, b, f"{where}[{index}]") for index, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other or (one != one and other != other) else where  # noqa: PLR0124 - NaN
    return next((found for pair in pairs if (found := first_difference(*pair)) is not None), None)


def readable_place(difference: str) -> str:
    """Where ``first_difference`` found one, as a person would write it."""
    return difference.removeprefix("attributes.").replace("\0", "")


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.is_sparse or other.is_sparse:
        one, other = one.to_dense(), other.to_dense()
    return bool(((one == other) | ((one != one) & (other != other))).all())  # noqa: PLR0124 - NaN
