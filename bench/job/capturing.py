"""What hangs on a submission, as plain data."""

import functools
import random
import re
import types
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import ContractError

# Marks of what is no plain data.
STATE = "\0state"  # a state dict; beside it KEPT and INNER
KEPT = "\0kept"  # numbers and strings that the state dict leaves out
INNER = "\0inner"  # optimizers that an optimizer wraps
GRADIENTS = "\0gradients"  # of a module's parameters
OBJECT = "\0object"  # attributes of an object
NAMED = "\0named"  # what a named tuple holds
QUEUE = "\0queue"  # what a deque holds
CLASS = "\0class"  # of an object or named tuple, as module:name
MOST = "\0most"  # of a deque
EXTRAS = "\0extras"  # what a module's state dict leaves out
SAME = "\0same"  # where the same thing was met before
PAIRS = "\0pairs"  # a dict whose keys are no plain data
NUMPY = "\0numpy"  # an array, or a scalar as an array of no dimension
RANDOM = "\0random"  # a generator's state
SET = "\0set"
ENUM = "\0enum"
CONSTANT = None

PLAIN = (int, float, bool, str, bytes, complex, type(None))
CONSTANTS = (
    type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
    types.MethodWrapperType, functools.partial, torch.device, torch.dtype, torch.Size, torch.memory_format,
    torch.layout, PurePath, range, slice, re.Pattern, np.dtype, torch.jit.ScriptFunction,
)  # fmt: skip


def is_plain(value: Any) -> bool:
    """Whether a checkpoint may hold it as it is; a subclass, such as numpy's of float, it may not."""
    return type(value) in PLAIN


def has_state(value: Any) -> bool:
    """Whether it saves and loads itself."""
    return not isinstance(value, type) and hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def attributes_of(value: Any) -> dict[str, Any] | None:
    """What an object holds, in its dict and its slots; None for what shows nothing of itself."""
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    if not hasattr(value, "__dict__") and not slots:
        return None
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**held, **getattr(value, "__dict__", {})}


def _slots(kind: type) -> list[str]:
    slots = kind.__dict__.get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def inner_optimizers(value: Any) -> dict[str, Optimizer]:
    """Optimizers that something with a state wraps, such as the one within SAM."""
    held = attributes_of(value) or {}
    return {name: item for name, item in held.items() if isinstance(item, Optimizer) and item is not value}


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """What has been accumulated and not yet cleared: a step may come but every few calls."""
    return {name: p.grad.detach() for name, p in module.named_parameters() if p.grad is not None}


def module_extras(module: nn.Module) -> dict[str, list[dict[str, Any]]]:
    """Of each submodule what its state dict leaves out: numbers, which parameters are trained, loose tensors.

    So a mode, a frozen layer, a stage of growth or a temperature comes back as it was.
    """
    found = {}
    for path, child in module.named_modules():
        if isinstance(child, torch.jit.ScriptModule):  # it has no attributes of its own
            continue
        held = vars(child)
        trained = {name: p.requires_grad for name, p in child._parameters.items() if p is not None}
        loose = {name: child._buffers[name] for name in sorted(child._non_persistent_buffers_set)}
        loose |= {name: t for name, t in held.items() if isinstance(t, Tensor) and t.grad_fn is None}
        plain = {name: value for name, value in held.items() if is_plain(value)}
        found[path] = [plain, trained, {name: t.detach() for name, t in loose.items() if t is not None}]
    return found


def class_name(value: Any) -> str:
    """Where the class of ``value`` is found."""
    kind = type(value)
    return f"{kind.__module__}:{kind.__qualname__}"


def name_of(value: Any) -> str:
    """A function or description in words that are the same in every process."""
    if isinstance(value, functools.partial):
        return f"partial of {name_of(value.func)}"
    if isinstance(value, types.MethodType):
        return f"{class_name(value.__self__)}.{value.__name__}"
    if hasattr(value, "__qualname__"):
        return f"{getattr(value, '__module__', None)}:{value.__qualname__}"
    return "" if isinstance(value, torch.jit.ScriptFunction) else str(value)


def known_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors that the model's own state dict carries, by their place."""
    yield from ((f"model.{name}", parameter) for name, parameter in model.named_parameters())
    yield from ((f"model.{name}", buffer) for name, buffer in model.named_buffers())


class Capture:
    """One snapshot. Each thing is written once: where it is met again, its first place is named."""

    def __init__(self, model: nn.Module) -> None:
        self.known = {id(model): "model", **{id(tensor): where for where, tensor in known_tensors(model)}}
        self.kinds: dict[str, str] = {}  # place -> what is there, of what a checkpoint cannot make
        self._alive: list[Any] = []  # what is looked at for a moment only, so that no id is used twice

    def of(self, value: Any, where: str) -> Any:
        """``value`` as plain data; ``where`` is its place, such as "self.optimizer".

        Raises:
            ContractError: If it can neither be saved nor is known to be constant.
        """
        if is_plain(value):
            return value
        if isinstance(value, CONSTANTS):  # functions and descriptions do not change in training
            self.kinds[where] = name_of(value)
            return CONSTANT
        if id(value) in self.known:
            return {SAME: self.known[id(value)]}
        self.known[id(value)] = where
        self._alive.append(value)
        return self._new(value, where)

    def _new(self, value: Any, where: str) -> Any:
        if isinstance(value, Tensor):
            return value.detach()
        if isinstance(value, np.generic | np.ndarray):
            return {NUMPY: _as_tensor(value, where)}
        if isinstance(value, Enum):
            return {ENUM: value.name, CLASS: class_name(value)}
        state = random_state(value)
        if state is not None:
            return {RANDOM: state}
        if has_state(value):
            return self._with_state(value, where)
        if isinstance(value, list | tuple | deque):
            return self._sequence(value, [self.of(item, f"{where}[{i}]") for i, item in enumerate(value)])
        if isinstance(value, set | frozenset):
            # In one order always: that of the set is made by its history, which no checkpoint has.
            return {SET: sorted((self.of(item, f"{where}{{}}") for item in value), key=repr)}
        if isinstance(value, dict):
            return self._dict(value, where)
        return self._object(value, where)

    @staticmethod
    def _sequence(value: Any, items: list[Any]) -> Any:
        if isinstance(value, deque):
            return {QUEUE: items, MOST: value.maxlen}
        if isinstance(value, tuple):
            return {NAMED: items, CLASS: class_name(value)} if hasattr(value, "_fields") else tuple(items)
        return items

    def _with_state(self, value: Any, where: str) -> dict[str, Any]:
        self.kinds[where] = class_name(value)
        if isinstance(value, Optimizer):
            self.kinds[where] += f" of {len(value.param_groups)} groups"
        state = Capture.plain(value.state_dict(), where)
        if isinstance(value, nn.Module):
            return {STATE: state, GRADIENTS: gradients(value), EXTRAS: module_extras(value)}
        kept = {name: held for name, held in (attributes_of(value) or {}).items() if is_plain(held)}
        inner = {name: self.of(held, f"{where}.{name}") for name, held in inner_optimizers(value).items()}
        return {STATE: state, KEPT: kept, INNER: inner}

    @staticmethod
    def plain(value: Any, where: str) -> Any:
        """A state dict, whose numpy scalars no checkpoint could hold."""
        if isinstance(value, np.generic | np.ndarray):
            return {NUMPY: _as_tensor(value, where)}
        if isinstance(value, dict) and type(value).__module__ in ("builtins", "collections"):
            items = {key: Capture.plain(item, f"{where}[{key!r}]") for key, item in value.items()}
            return items if any(items[key] is not value[key] for key in items) else value
        if type(value) in (list, tuple):
            return type(value)(Capture.plain(item, f"{where}[{index}]") for index, item in enumerate(value))
        return value

    def _dict(self, value: dict[Any, Any], where: str) -> dict[str, Any]:
        if all(_plain_key(key) for key in value):
            items = {key: self.of(item, f"{where}[{key!r}]") for key, item in value.items()}
            return type(value)(items) if type(value) in (Counter, OrderedDict) else items
        pairs = enumerate(value.items())
        return {
            PAIRS: [
                [self.of(key, f"{where}.keys[{i}]"), self.of(item, f"{where}.values[{i}]")]
                for i, (key, item) in pairs
            ]
        }

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        held = attributes_of(value)
        if held is None or isinstance(value, Iterator):
            raise ContractError(
                f"{where} is a {type(value).__name__}, which cannot be checkpointed; give it state_dict and "
                "load_state_dict, or store tensors, numbers, strings, lists, dicts and objects of these"
            )
        self.kinds[where] = class_name(value)
        parts = {name: self.of(item, f"{where}.{name}") for name, item in held.items()}
        return {OBJECT: parts, CLASS: class_name(value)}


def _plain_key(key: Any) -> bool:
    return is_plain(key) or (type(key) is tuple and all(map(_plain_key, key)))


def _as_tensor(value: Any, where: str) -> Tensor:
    try:
        return torch.from_numpy(np.array(value))
    except TypeError:
        raise ContractError(
            f"{where} is a numpy array of {np.asarray(value).dtype}, which cannot be checkpointed; store numbers"
        ) from None


def random_state(value: Any) -> Any:
    """The state of a generator of random numbers; None for anything else."""
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, random.Random):
        version, numbers, gauss = value.getstate()
        return [version, list(numbers), gauss]
    if isinstance(value, np.random.Generator):
        return Capture.plain(dict(value.bit_generator.state), "")
    if isinstance(value, np.random.RandomState):
        return Capture.plain(dict(value.get_state(legacy=False)), "")
    return None
