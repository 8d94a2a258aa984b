"""What a network stores: distinct parameters, which count against a cap, and all other numbers."""

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
LONG_LIST = 64  # Python numbers; a longer list in a network is a table, and counts as stored


def numbers_in(tensor: Tensor) -> int:
    """How many numbers it holds; a complex one is two."""
    return tensor.numel() * _parts(tensor)


def _parts(tensor: Tensor) -> int:
    return 2 if tensor.is_complex() else 1


@dataclass(frozen=True)
class ParameterCount:
    """Distinct parameters of some modules; ``by_module`` has those that own parameters directly."""

    total: int
    by_module: tuple[tuple[str, int], ...]

    def plus(self, buffers: Mapping[str, int]) -> "ParameterCount":
        """With buffers of the model that training changes: name -> scalars."""
        rows = tuple((f"model.{name} (buffer)", scalars) for name, scalars in buffers.items())
        return ParameterCount(self.total + sum(buffers.values()), self.by_module + rows)


@dataclass(frozen=True)
class StoredScalars:
    """How many numbers a network stores, by where it keeps them."""

    parameters: int
    buffers: int
    plain: int  # tensors, arrays and long lists held as plain attributes


def count_parameters(modules: Mapping[str, nn.Module]) -> ParameterCount:
    """Distinct parameters of ``modules``, by fvcore; a tensor in two places counts once, at the first.

    A complex parameter counts as two, its real and its imaginary part, which fvcore counts as one.

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
            own = [p for p in child.parameters(recurse=False) if id(p) not in seen]
            seen.update(map(id, own))
            if own:
                rows.append((f"{name}.{path}".rstrip("."), sum(map(numbers_in, own))))
    return ParameterCount(total, tuple(rows))


def stored_scalars(module: nn.Module) -> StoredScalars:
    """Every number that an inference network stores, each storage once.

    Buffers count whether or not they are in the state dict. Plain attributes are searched through lists,
    tuples, sets, dicts and objects; arrays and lists of more than 64 numbers count as well as tensors do.
    """
    seen: set[int] = set()

    def fresh(tensors: Iterator[Tensor]) -> int:
        count = 0
        for tensor in tensors:
            key = tensor.untyped_storage().data_ptr() if tensor.numel() else id(tensor)
            if key not in seen:
                seen.add(key)
                count += tensor.untyped_storage().nbytes() // tensor.element_size() * _parts(tensor)
        return count

    parameters = fresh(module.parameters())
    buffers = fresh(module.buffers())
    plain = 0
    visited = {id(child) for child in module.modules()}
    for child in module.modules():
        for name, value in vars(child).items():
            if name not in ("_parameters", "_buffers", "_modules"):
                for found in _stored_in(value, visited):
                    plain += fresh(iter([found])) if isinstance(found, Tensor) else found
    return StoredScalars(parameters, buffers, plain)


def _stored_in(value: Any, visited: set[int]) -> Iterator[Tensor | int]:
    """Tensors, and sizes of arrays and long lists of numbers, reachable from a plain attribute."""
    if isinstance(value, str | bytes | int | float | bool | type) or id(value) in visited:
        return
    visited.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield int(value.size)
    elif isinstance(value, nn.Module):  # in a plain list or dict, where its parent does not see it
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
