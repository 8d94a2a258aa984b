"""From plain data back to what hangs on a submission, whose ``init_training`` has just created it anew."""

import random
import sys
from collections import defaultdict, deque
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import ContractError
from bench.job.capturing import (
    CLASS,
    CONSTANTS,
    ENUM,
    EXTRAS,
    GRADIENTS,
    INNER,
    KEPT,
    MOST,
    NAMED,
    NUMPY,
    OBJECT,
    PAIRS,
    QUEUE,
    RANDOM,
    SAME,
    SET,
    STATE,
    attributes_of,
    has_state,
    inner_optimizers,
    known_tensors,
)
from bench.job.storages import Storages


class Restoration:
    """The restoring of one snapshot. What was the same thing in two places is so again."""

    def __init__(self, model: nn.Module) -> None:
        self.known: dict[str, Any] = {"model": model, **dict(known_tensors(model))}
        self.storages = Storages()

    def module(self, module: nn.Module, state: dict[str, Any], gradients: dict[str, Tensor], extras: Any) -> None:
        """Put back a module's state dict, and what that leaves out."""
        module.load_state_dict(state)
        self.storages.know(module.state_dict(), state)
        for name, parameter in module.named_parameters():
            gradient = gradients.get(name)
            parameter.grad = None if gradient is None else gradient.clone()
        for path, (plain, trained, loose) in extras.items():
            child = module.get_submodule(path)
            held = vars(child)
            held.update({name: value for name, value in plain.items() if held.get(name) != value})
            for name, requires_grad in trained.items():
                child.get_parameter(name).requires_grad_(requires_grad)
            for name, tensor in loose.items():
                setattr(child, name, self.storages.restored(getattr(child, name, None), tensor))

    def of(self, fresh: Any, saved: Any, where: str) -> Any:
        """What ``saved`` was, in ``fresh`` where that is possible.

        Args:
            fresh: What is in that place now.
            saved: What ``Capture`` made of what was there.
            where: The place, such as "self.optimizer".

        Raises:
            ContractError: If the two do not fit.
        """
        if isinstance(saved, dict) and SAME in saved:
            return self.known.get(saved[SAME], fresh)
        self.known[where] = fresh  # before its parts, which may refer to it
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
            return _into_array(fresh, from_numpy_mark(saved))
        if RANDOM in saved:
            return _into_generator(fresh, unmarked(saved[RANDOM]), where)
        if SET in saved:
            items = [self.of(None, item, f"{where}{{}}") for item in saved[SET]]
            return type(fresh)(items) if isinstance(fresh, set | frozenset) else set(items)
        if ENUM in saved:
            return _class_of(saved, where)[saved[ENUM]]
        if NAMED in saved:
            return _class_of(saved, where)(*self._items(fresh, saved[NAMED], where))
        if QUEUE in saved:
            items = self._items(fresh, saved[QUEUE], where)
            if not isinstance(fresh, deque):
                return deque(items, saved[MOST])
            fresh.clear()
            fresh.extend(items)
            return fresh
        return self._dict(fresh, saved, where)

    def _dict(self, fresh: Any, saved: dict[Any, Any], where: str) -> Any:
        held: dict[Any, Any] = fresh if isinstance(fresh, dict) else type(saved)()
        empty = held.default_factory if isinstance(held, defaultdict) else None
        restored = {}
        for key, old in saved.items():
            now = held[key] if key in held else empty() if empty else None
            restored[key] = self.of(now, old, f"{where}[{key!r}]")
        held.clear()
        held.update(restored)
        return held

    def _with_state(self, fresh: Any, saved: dict[str, Any], where: str) -> Any:
        if not has_state(fresh):
            raise _lacking(where, "a state")
        if isinstance(fresh, nn.Module):
            self.module(fresh, saved[STATE], saved.get(GRADIENTS, {}), saved.get(EXTRAS, {}))
            return fresh
        inner = inner_optimizers(fresh)
        shared = [
            name for name, held in inner.items() if held.param_groups is getattr(fresh, "param_groups", None)
        ]
        for name, value in saved.get(KEPT, {}).items():
            object.__setattr__(fresh, name, value)
        fresh.load_state_dict(unmarked(saved[STATE]))  # last, for it knows best
        for name, held in saved.get(INNER, {}).items():
            self.of(inner.get(name), held, f"{where}.{name}")
        for name in shared:  # loading gave each groups of its own
            inner[name].param_groups = fresh.param_groups
        return fresh

    def _object(self, fresh: Any, saved: dict[str, Any], where: str) -> Any:
        if fresh is None or isinstance(fresh, CONSTANTS) or attributes_of(fresh) is None:
            kind = _class_of(saved, where)  # it came while training
            fresh = kind.__new__(kind)
            self.known[where] = fresh
        for name, old in saved[OBJECT].items():
            now = getattr(fresh, name, None)
            value = self.of(now, old, f"{where}.{name}")
            if value is not now or not hasattr(fresh, name):
                object.__setattr__(fresh, name, value)  # also of a frozen dataclass
        return fresh

    def _pairs(self, fresh: Any, saved: list[Any], where: str) -> Any:
        held = fresh if isinstance(fresh, dict) else {}
        now = [*held.items(), *[(None, None)] * max(0, len(saved) - len(held))]
        items = [
            (self.of(key, old_key, f"{where}.keys[{i}]"), self.of(value, old, f"{where}.values[{i}]"))
            for i, ((key, value), (old_key, old)) in enumerate(zip(now, saved, strict=False))
        ]
        held.clear()
        held.update(items)
        return held

    def _items(self, fresh: Any, saved: list[Any] | tuple[Any, ...], where: str) -> list[Any]:
        now = list(fresh) if isinstance(fresh, list | tuple | deque) else []
        now += [None] * (len(saved) - len(now))  # it may have grown while training
        return [self.of(now[i], old, f"{where}[{i}]") for i, old in enumerate(saved)]

    def _sequence(self, fresh: Any, saved: list[Any] | tuple[Any, ...], where: str) -> Any:
        items = self._items(fresh, saved, where)
        if isinstance(fresh, list) and isinstance(saved, list):
            fresh[:] = items
            return fresh
        return tuple(items) if isinstance(saved, tuple) else items


def _class_of(saved: dict[str, Any], where: str) -> Any:
    """The class of what came while training, if a module that is loaded has it."""
    module, _, name = saved[CLASS].partition(":")
    try:
        return reduce(getattr, name.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        raise ContractError(
            f"{where} is a {name} and came while training, where {name} cannot be found again; define the class "
            "in model.py, outside of functions, or make the first one in init_training"
        ) from None


def _lacking(where: str, kind: str) -> ContractError:
    return ContractError(f"{where} had {kind} when it was saved; init_training has to create it")


def _into_array(fresh: Any, saved: Any) -> Any:
    """In place, for another array may be a part of it."""
    if not (isinstance(fresh, np.ndarray) and isinstance(saved, np.ndarray) and fresh.flags.writeable):
        return saved
    if fresh.shape != saved.shape or fresh.dtype != saved.dtype:
        return saved
    np.copyto(fresh, saved)
    return fresh


def _into_generator(fresh: Any, state: Any, where: str) -> Any:
    if isinstance(fresh, torch.Generator):
        fresh.set_state(state.cpu())
    elif isinstance(fresh, random.Random):
        fresh.setstate((state[0], tuple(state[1]), state[2]))
    elif isinstance(fresh, np.random.Generator):
        fresh.bit_generator.state = state
    elif isinstance(fresh, np.random.RandomState):
        fresh.set_state(state)
    else:
        raise _lacking(where, "a generator's state")
    return fresh


def from_numpy_mark(saved: dict[str, Any]) -> Any:
    """An array, or a scalar of numpy."""
    array = saved[NUMPY].cpu().numpy()
    return array[()] if array.ndim == 0 else array


def unmarked(value: Any) -> Any:
    """A state dict with its numpy values again."""
    if isinstance(value, dict):
        if NUMPY in value:
            return from_numpy_mark(value)
        items = {key: unmarked(item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    if type(value) in (list, tuple):
        return type(value)(map(unmarked, value))
    return value
