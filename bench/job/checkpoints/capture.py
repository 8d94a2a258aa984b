"""Encode the attributes of a submission as plain data."""

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

# Marker keys of dicts that encode other objects than plain data. Their values are part of the checkpoint format.
STATE = "\0state"  # state dict of an object; next to it PLAIN_ATTRIBUTES and INNER, or GRADIENTS and EXTRAS
PLAIN_ATTRIBUTES = "\0kept"  # numbers and strings that the state dict omits
INNER = "\0inner"  # optimizers that an optimizer wraps
GRADIENTS = "\0gradients"  # gradients of a module's parameters
OBJECT = "\0object"  # attributes of an object
NAMED_TUPLE = "\0named"  # items of a named tuple
DEQUE = "\0queue"  # items of a deque
CLASS = "\0class"  # class of an object, enum member or named tuple, as module:name
MAXLEN = "\0most"  # maxlen of a deque
EXTRAS = "\0extras"  # state that a module's state dict omits
REFERENCE = "\0same"  # path of the same object, encoded earlier
PAIRS = "\0pairs"  # items of a dict whose keys are not plain data
NUMPY = "\0numpy"  # array, or scalar as a 0-dimensional array
RANDOM = "\0random"  # state of a random generator
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
    """Return whether a checkpoint may contain ``value`` as it is: subclasses of plain types are excluded."""
    return type(value) in PLAIN


def has_state(value: Any) -> bool:
    """Return whether ``value`` is an object with ``state_dict`` and ``load_state_dict``."""
    return not isinstance(value, type) and hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def attributes_of(value: Any) -> dict[str, Any] | None:
    """Return an object's attributes from ``__dict__`` and ``__slots__``; None if it has neither."""
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    if not hasattr(value, "__dict__") and not slots:
        return None
    attributes = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**attributes, **getattr(value, "__dict__", {})}


def _slots(kind: type) -> list[str]:
    slots = kind.__dict__.get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def inner_optimizers(value: Any) -> dict[str, Optimizer]:
    """Return the optimizers in attributes of ``value``, such as the one that SAM wraps."""
    attributes = attributes_of(value) or {}
    return {name: item for name, item in attributes.items() if isinstance(item, Optimizer) and item is not value}


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Return the gradients of a module's parameters, which gradient accumulation keeps between steps."""
    return {name: p.grad.detach() for name, p in module.named_parameters() if p.grad is not None}


def module_extras(module: nn.Module) -> dict[str, list[dict[str, Any]]]:
    """Return the state that the state dict omits: submodule -> [plain attributes, requires_grad, tensors].

    It restores train or eval mode, frozen layers, a stage of growth or a temperature.
    """
    extras = {}
    for path, child in module.named_modules():
        if isinstance(child, torch.jit.ScriptModule):  # it has no Python attributes
            continue
        attributes = vars(child)
        requires_grad = {name: p.requires_grad for name, p in child._parameters.items() if p is not None}
        tensors = {name: child._buffers[name] for name in sorted(child._non_persistent_buffers_set)}
        tensors |= {name: t for name, t in attributes.items() if isinstance(t, Tensor) and t.grad_fn is None}
        plain = {name: value for name, value in attributes.items() if is_plain(value)}
        detached = {name: t.detach() for name, t in tensors.items() if t is not None}
        extras[path] = [plain, requires_grad, detached]
    return extras


def class_name(value: Any) -> str:
    """Return the class of ``value`` as module:name."""
    kind = type(value)
    return f"{kind.__module__}:{kind.__qualname__}"


def name_of(value: Any) -> str:
    """Return a description of a constant that is the same in every process."""
    if isinstance(value, functools.partial):
        return f"partial of {name_of(value.func)}"
    if isinstance(value, types.MethodType):
        return f"{class_name(value.__self__)}.{value.__name__}"
    if hasattr(value, "__qualname__"):
        return f"{getattr(value, '__module__', None)}:{value.__qualname__}"
    return "" if isinstance(value, torch.jit.ScriptFunction) else str(value)


def known_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield path and tensor of the model's parameters and buffers."""
    yield from ((f"model.{name}", parameter) for name, parameter in model.named_parameters())
    yield from ((f"model.{name}", buffer) for name, buffer in model.named_buffers())


class Capture:
    """The encoder of one snapshot. Each object is encoded once; later occurrences refer to its first path."""

    def __init__(self, model: nn.Module) -> None:
        self.known = {id(model): "model", **{id(tensor): where for where, tensor in known_tensors(model)}}
        self.kinds: dict[str, str] = {}  # path -> class or function, for objects that a checkpoint cannot create
        self._alive: list[Any] = []  # keeps temporary objects alive, so that no ID is reused

    def encode(self, value: Any, where: str) -> Any:
        """Encode ``value`` as plain data.

        Args:
            value: An attribute, or an object that is reachable from one.
            where: Its path, such as "self.optimizer".

        Raises:
            ContractError: If it can neither be saved nor is known to be constant.
        """
        if is_plain(value):
            return value
        if isinstance(value, CONSTANTS):  # functions, classes, devices and the like do not change in training
            self.kinds[where] = name_of(value)
            return CONSTANT
        if id(value) in self.known:
            return {REFERENCE: self.known[id(value)]}
        self.known[id(value)] = where
        self._alive.append(value)
        return self._encode_new(value, where)

    def _encode_new(self, value: Any, where: str) -> Any:
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
            return self._sequence(value, [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)])
        if isinstance(value, set | frozenset):
            # Sorted, because the iteration order of a set depends on its history.
            return {SET: sorted((self.encode(item, f"{where}{{}}") for item in value), key=repr)}
        if isinstance(value, dict):
            return self._dict(value, where)
        return self._object(value, where)

    @staticmethod
    def _sequence(value: Any, items: list[Any]) -> Any:
        if isinstance(value, deque):
            return {DEQUE: items, MAXLEN: value.maxlen}
        if isinstance(value, tuple):
            return {NAMED_TUPLE: items, CLASS: class_name(value)} if hasattr(value, "_fields") else tuple(items)
        return items

    def _with_state(self, value: Any, where: str) -> dict[str, Any]:
        self.kinds[where] = class_name(value)
        if isinstance(value, Optimizer):
            self.kinds[where] += f" of {len(value.param_groups)} groups"
        state = Capture.plain(value.state_dict(), where)
        if isinstance(value, nn.Module):
            return {STATE: state, GRADIENTS: gradients(value), EXTRAS: module_extras(value)}
        plain = {name: item for name, item in (attributes_of(value) or {}).items() if is_plain(item)}
        inner = {name: self.encode(item, f"{where}.{name}") for name, item in inner_optimizers(value).items()}
        return {STATE: state, PLAIN_ATTRIBUTES: plain, INNER: inner}

    @staticmethod
    def plain(value: Any, where: str) -> Any:
        """Encode the numpy arrays and scalars of a state dict, which a checkpoint cannot contain."""
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
            items = {key: self.encode(item, f"{where}[{key!r}]") for key, item in value.items()}
            return type(value)(items) if type(value) in (Counter, OrderedDict) else items
        pairs = enumerate(value.items())
        return {
            PAIRS: [
                [self.encode(key, f"{where}.keys[{i}]"), self.encode(item, f"{where}.values[{i}]")]
                for i, (key, item) in pairs
            ]
        }

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        attributes = attributes_of(value)
        if attributes is None or isinstance(value, Iterator):
            raise ContractError(
                f"{where} is a {type(value).__name__}, which cannot be checkpointed; give it state_dict and "
                "load_state_dict, or store tensors, numbers, strings, lists, dicts and objects of these"
            )
        self.kinds[where] = class_name(value)
        encoded = {name: self.encode(item, f"{where}.{name}") for name, item in attributes.items()}
        return {OBJECT: encoded, CLASS: class_name(value)}


def _plain_key(key: Any) -> bool:
    return is_plain(key) or (type(key) is tuple and all(map(_plain_key, key)))


def _as_tensor(value: Any, where: str) -> Tensor:
    try:
        return torch.from_numpy(np.array(value))
    except TypeError:
        raise ContractError(
            f"{where} is a numpy array of {np.asarray(value).dtype}, which cannot be checkpointed; store an array "
            "of numbers"
        ) from None


def random_state(value: Any) -> Any:
    """Return the state of a random generator; None for any other object."""
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
