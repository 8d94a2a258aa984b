"""Count the numbers that a network stores: distinct parameters, which count against a cap, and all others."""

import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

with warnings.catch_warnings():  # fvcore compiles a loss with torch.jit.script, which torch has deprecated
    warnings.simplefilter("ignore")
    from fvcore.nn import parameter_count

_OPAQUE = (types.FunctionType, types.MethodType, types.ModuleType)
LONG_LIST = 64  # a list of more Python numbers counts as stored data


def numbers_in(tensor: Tensor) -> int:
    """Return the number of real numbers in a tensor; a complex element counts as two."""
    return tensor.numel() * _reals_per_element(tensor)


def _reals_per_element(tensor: Tensor) -> int:
    return 2 if tensor.is_complex() else 1


@dataclass(frozen=True)
class ParameterCount:
    """Distinct parameters of some modules; ``by_module`` lists the modules that own parameters directly."""

    total: int
    by_module: tuple[tuple[str, int], ...]

    def plus(self, buffers: Mapping[str, int]) -> "ParameterCount":
        """Return the count with the model's buffers that training changes added: name -> scalars."""
        rows = tuple((f"model.{name} (buffer)", scalars) for name, scalars in buffers.items())
        return ParameterCount(self.total + sum(buffers.values()), self.by_module + rows)


@dataclass(frozen=True)
class StoredScalars:
    """The number of scalars that a network stores, by the kind of attribute."""

    parameters: int
    buffers: int
    plain: int  # tensors, arrays and long lists held as plain attributes


def count_parameters(modules: Mapping[str, nn.Module]) -> ParameterCount:
    """Count the distinct parameters of ``modules`` with fvcore.

    A tensor that is used in two modules counts once, for the first one. An element of a complex parameter counts
    as two, its real and its imaginary part; fvcore counts it as one.

    Args:
        modules: Name -> module; a name may contain dots.
    """
    holder = nn.ModuleList(modules.values())
    imaginary = sum(parameter.numel() for parameter in holder.parameters() if parameter.is_complex())
    total = int(parameter_count(holder)[""]) + imaginary
    seen: set[int] = set()
    rows = []
    for name, module in modules.items():
        for path, child in module.named_modules():
            new = [p for p in child.parameters(recurse=False) if id(p) not in seen]
            seen.update(map(id, new))
            if new:
                rows.append((f"{name}.{path}".rstrip("."), sum(map(numbers_in, new))))
    return ParameterCount(total, tuple(rows))


def stored_scalars(module: nn.Module) -> StoredScalars:
    """Count every number that an inference network stores, each storage once.

    Buffers count whether they are in the state dict or not. Plain attributes are searched recursively through
    lists, tuples, sets, dicts and objects; arrays and lists of more than 64 numbers count like tensors.
    """
    seen: set[int] = set()

    def count_new(tensors: Iterator[Tensor]) -> int:
        count = 0
        for tensor in tensors:
            key = tensor.untyped_storage().data_ptr() if tensor.numel() else id(tensor)
            if key not in seen:
                seen.add(key)
                count += tensor.untyped_storage().nbytes() // tensor.element_size() * _reals_per_element(tensor)
        return count

    parameters = count_new(module.parameters())
    buffers = count_new(module.buffers())
    plain = 0
    visited = {id(child) for child in module.modules()}
    for child in module.modules():
        for name, value in vars(child).items():
            if name not in ("_parameters", "_buffers", "_modules"):
                for item in _stored_in(value, visited):
                    plain += count_new(iter([item])) if isinstance(item, Tensor) else item
    return StoredScalars(parameters, buffers, plain)


def _stored_in(value: Any, visited: set[int]) -> Iterator[Tensor | int]:
    """Yield the tensors, and the sizes of arrays and long lists of numbers, reachable from a plain attribute."""
    if isinstance(value, str | bytes | int | float | bool | type) or id(value) in visited:
        return
    visited.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield int(value.size)
    elif isinstance(value, nn.Module):  # in a plain list or dict, so it is no registered submodule
        yield from value.parameters()
        yield from value.buffers()
    elif isinstance(value, list | tuple | set | frozenset):
        numbers = sum(isinstance(item, int | float) for item in value)
        if numbers > LONG_LIST:
            yield numbers
        for item in value:
            yield from _stored_in(item, visited)
    elif isinstance(value, dict):
        yield from _stored_in(list(value.values()), visited)
    elif hasattr(value, "__dict__") and not isinstance(value, _OPAQUE):
        for item in vars(value).values():
            yield from _stored_in(item, visited)
