"""Restore the attributes of a submission from plain data, after a fresh ``init_training`` has created them."""

import random
import sys
from collections import defaultdict, deque
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.checkpoints.capture import (
    CLASS,
    CONSTANTS,
    DEQUE,
    ENUM,
    EXTRAS,
    GRADIENTS,
    INNER,
    MAXLEN,
    NAMED_TUPLE,
    NUMPY,
    OBJECT,
    PAIRS,
    PLAIN_ATTRIBUTES,
    RANDOM,
    REFERENCE,
    SET,
    STATE,
    attributes_of,
    has_state,
    inner_optimizers,
    known_tensors,
)
from bench.job.checkpoints.shared_memory import SharedMemory


class Restoration:
    """The decoder of one snapshot. Paths that referred to the same object do so again."""

    def __init__(self, model: nn.Module) -> None:
        self.known: dict[str, Any] = {"model": model, **dict(known_tensors(model))}
        self.storages = SharedMemory()

    def module(self, module: nn.Module, state: dict[str, Any], gradients: dict[str, Tensor], extras: Any) -> None:
        """Restore a module's state dict, gradients and extras (see ``module_extras``)."""
        module.load_state_dict(state)
        self.storages.register_loaded(module.state_dict(), state)
        for name, parameter in module.named_parameters():
            gradient = gradients.get(name)
            parameter.grad = None if gradient is None else gradient.clone()
        for path, (plain, trained, tensors) in extras.items():
            child = module.get_submodule(path)
            attributes = vars(child)
            attributes.update({name: value for name, value in plain.items() if attributes.get(name) != value})
            for name, requires_grad in trained.items():
                child.get_parameter(name).requires_grad_(requires_grad)
            for name, tensor in tensors.items():
                setattr(child, name, self.storages.restored(getattr(child, name, None), tensor))

    def restore(self, fresh: Any, saved: Any, where: str) -> Any:
        """Return the object that ``saved`` encodes: ``fresh``, modified in place, if possible.

        Args:
            fresh: The object that ``init_training`` has created at this path; None if there is none.
            saved: The encoding of the object by ``Capture``.
            where: The path, such as "self.optimizer".

        Raises:
            ContractError: If the encoding does not fit the fresh object.
        """
        if isinstance(saved, dict) and REFERENCE in saved:
            return self.known.get(saved[REFERENCE], fresh)
        self.known[where] = fresh  # before its items, which may refer to it
        restored = self._restored(fresh, saved, where)
        self.known[where] = restored
        return restored

    def _restored(self, fresh: Any, saved: Any, where: str) -> Any:
        if isinstance(saved, Tensor):
            return self.storages.restored(fresh, saved)
        if isinstance(saved, dict):
            return self._marked(fresh, saved, where)
        if isinstance(saved, list | tuple):
            return self._sequence(fresh, saved, where)
        if saved is None and isinstance(fresh, CONSTANTS):
            return fresh
        return saved

    def _marked(self, fresh: Any, saved: dict[Any, Any], where: str) -> Any:
        if STATE in saved:
            return self._with_state(fresh, saved, where)
        if OBJECT in saved:
            return self._object(fresh, saved, where)
        if PAIRS in saved:
            return self._pairs(fresh, saved[PAIRS], where)
        if NUMPY in saved:
            return _into_array(fresh, _decode_numpy(saved))
        if RANDOM in saved:
            return _into_generator(fresh, _decode_state_dict(saved[RANDOM]), where)
        if SET in saved:
            items = [self.restore(None, item, f"{where}{{}}") for item in saved[SET]]
            return type(fresh)(items) if isinstance(fresh, set | frozenset) else set(items)
        if ENUM in saved:
            return _class_of(saved, where)[saved[ENUM]]
        if NAMED_TUPLE in saved:
            return _class_of(saved, where)(*self._items(fresh, saved[NAMED_TUPLE], where))
        if DEQUE in saved:
            items = self._items(fresh, saved[DEQUE], where)
            if not isinstance(fresh, deque):
                return deque(items, saved[MAXLEN])
            fresh.clear()
            fresh.extend(items)
            return fresh
        return self._dict(fresh, saved, where)

    def _dict(self, fresh: Any, saved: dict[Any, Any], where: str) -> Any:
        target: dict[Any, Any] = fresh if isinstance(fresh, dict) else type(saved)()
        default = target.default_factory if isinstance(target, defaultdict) else None
        restored = {}
        for key, saved_item in saved.items():
            fresh_item = target[key] if key in target else default() if default else None
            restored[key] = self.restore(fresh_item, saved_item, f"{where}[{key!r}]")
        target.clear()
        target.update(restored)
        return target

    def _with_state(self, fresh: Any, saved: dict[str, Any], where: str) -> Any:
        if not has_state(fresh):
            raise _missing(where, "state_dict and load_state_dict")
        if isinstance(fresh, nn.Module):
            self.module(fresh, saved[STATE], saved.get(GRADIENTS, {}), saved.get(EXTRAS, {}))
            return fresh
        inner = inner_optimizers(fresh)
        shared = [
            name
            for name, optimizer in inner.items()
            if optimizer.param_groups is getattr(fresh, "param_groups", None)
        ]
        for name, value in saved.get(PLAIN_ATTRIBUTES, {}).items():
            object.__setattr__(fresh, name, value)
        fresh.load_state_dict(
            _decode_state_dict(saved[STATE])
        )  # after the plain attributes, which it may overwrite
        for name, saved_optimizer in saved.get(INNER, {}).items():
            self.restore(inner.get(name), saved_optimizer, f"{where}.{name}")
        for name in shared:  # load_state_dict has replaced the shared groups
            inner[name].param_groups = fresh.param_groups
        return fresh

    def _object(self, fresh: Any, saved: dict[str, Any], where: str) -> Any:
        if fresh is None or isinstance(fresh, CONSTANTS) or attributes_of(fresh) is None:
            kind = _class_of(saved, where)  # it was created during training
            fresh = kind.__new__(kind)
            self.known[where] = fresh
        for name, saved_item in saved[OBJECT].items():
            fresh_item = getattr(fresh, name, None)
            value = self.restore(fresh_item, saved_item, f"{where}.{name}")
            if value is not fresh_item or not hasattr(fresh, name):
                object.__setattr__(fresh, name, value)  # works for a frozen dataclass too
        return fresh

    def _pairs(self, fresh: Any, saved: list[Any], where: str) -> Any:
        target = fresh if isinstance(fresh, dict) else {}
        fresh_items = [*target.items(), *[(None, None)] * max(0, len(saved) - len(target))]
        items = [
            (
                self.restore(key, saved_key, f"{where}.keys[{i}]"),
                self.restore(value, saved_value, f"{where}.values[{i}]"),
            )
            for i, ((key, value), (saved_key, saved_value)) in enumerate(zip(fresh_items, saved, strict=False))
        ]
        target.clear()
        target.update(items)
        return target

    def _items(self, fresh: Any, saved: list[Any] | tuple[Any, ...], where: str) -> list[Any]:
        fresh_items = list(fresh) if isinstance(fresh, list | tuple | deque) else []
        fresh_items += [None] * (len(saved) - len(fresh_items))  # it may have grown during training
        return [self.restore(fresh_items[i], item, f"{where}[{i}]") for i, item in enumerate(saved)]

    def _sequence(self, fresh: Any, saved: list[Any] | tuple[Any, ...], where: str) -> Any:
        items = self._items(fresh, saved, where)
        if isinstance(fresh, list) and isinstance(saved, list):
            fresh[:] = items
            return fresh
        return tuple(items) if isinstance(saved, tuple) else items


def _class_of(saved: dict[str, Any], where: str) -> Any:
    """Return the class of an object that was created during training, from the loaded modules."""
    module, _, name = saved[CLASS].partition(":")
    try:
        return reduce(getattr, name.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        raise ContractError(
            f"{where} is a {name} that was created during training, but no loaded module defines {name} at its "
            "top level; define the class in model.py, outside of functions, or create an instance in init_training"
        ) from None


def _missing(where: str, feature: str) -> ContractError:
    """Return the error for a fresh object without a feature that the saved object had."""
    return ContractError(
        f"{where} had {feature} when the checkpoint was saved, but not after init_training; create the same "
        "object in init_training"
    )


def _into_array(fresh: Any, saved: Any) -> Any:
    """Copy ``saved`` into ``fresh`` if possible, since other arrays may be views of it; else return ``saved``."""
    if not (isinstance(fresh, np.ndarray) and isinstance(saved, np.ndarray) and fresh.flags.writeable):
        return saved
    if fresh.shape != saved.shape or fresh.dtype != saved.dtype:
        return saved
    np.copyto(fresh, saved)
    return fresh


def _into_generator(fresh: Any, state: Any, where: str) -> Any:
    """Set the state of the random generator ``fresh``."""
    if isinstance(fresh, torch.Generator):
        fresh.set_state(state.cpu())
    elif isinstance(fresh, random.Random):
        fresh.setstate((state[0], tuple(state[1]), state[2]))
    elif isinstance(fresh, np.random.Generator):
        fresh.bit_generator.state = state
    elif isinstance(fresh, np.random.RandomState):
        fresh.set_state(state)
    else:
        raise _missing(where, "the state of a random generator")
    return fresh


def _decode_numpy(saved: dict[str, Any]) -> Any:
    """Decode a numpy array or scalar."""
    array = saved[NUMPY].cpu().numpy()
    return array[()] if array.ndim == 0 else array


def _decode_state_dict(value: Any) -> Any:
    """Decode the numpy values of a state dict, which ``Capture.plain`` encoded."""
    if isinstance(value, dict):
        if NUMPY in value:
            return _decode_numpy(value)
        items = {key: _decode_state_dict(item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    if type(value) in (list, tuple):
        return type(value)(map(_decode_state_dict, value))
    return value
