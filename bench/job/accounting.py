"""What counts against a parameter cap, and what tries not to.

The cap counts what the papers count: every distinct parameter of the inference network, and every other one
that training changes through a gradient (a discriminator's), but not copies that only follow (an EMA's).
"""

import functools
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import ContractError
from bench.job.capturing import attributes_of
from bench.job.loading import AnySubmission
from bench.measure.parameters import ParameterCount, count_parameters

MODEL = "model"


def _walk(value: Any, where: str, seen: set[int], *, functions: bool = False) -> Iterator[tuple[str, Any]]:
    """Everything reachable from an attribute through containers and objects, modules unopened.

    ``functions`` opens these too: what a closure, a partial or a bound method holds.
    """
    if id(value) in seen or isinstance(value, str | bytes | int | float | bool | type(None)):
        return
    seen.add(id(value))
    yield where, value
    if not isinstance(value, nn.Module | Optimizer | Tensor):
        for place, item in _held(value, functions):
            yield from _walk(item, where + place, seen, functions=functions)


def _held(value: Any, functions: bool) -> Iterator[tuple[str, Any]]:
    """What something holds, with its place in it."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, types.FunctionType):
        if functions:
            yield from (("", _content(cell)) for cell in value.__closure__ or ())
    elif isinstance(value, types.MethodType):
        if functions:
            yield "", value.__self__
    elif isinstance(value, functools.partial):
        if functions:
            yield from (("", item) for item in (value.func, *value.args, *value.keywords.values()))
    elif not isinstance(value, type | types.ModuleType):
        yield from ((f".{name}", item) for name, item in (attributes_of(value) or {}).items())


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _leaves(tensor: Tensor) -> Iterator[Tensor]:
    """The tensors that a gradient of ``tensor`` would arrive at."""
    if tensor.grad_fn is None:
        yield tensor
        return
    waiting, seen = [tensor.grad_fn], {tensor.grad_fn}
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            yield node.variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)


class TrainingState:
    """A submission's modules, optimizers and loose tensors, found by walking its attributes."""

    def __init__(self, submission: AnySubmission, model: nn.Module) -> None:
        self.modules: dict[str, nn.Module] = {MODEL: model}
        self.optimizers: dict[str, Optimizer] = {}
        self.tensors: dict[str, Tensor] = {}
        seen = {id(model), id(submission.config)}
        for name, attribute in vars(submission).items():
            for where, value in _walk(attribute, name, seen, functions=True):
                if isinstance(value, nn.Module):
                    self.modules[where] = value
                elif isinstance(value, Optimizer):
                    self.optimizers[where] = value
                elif isinstance(value, Tensor):
                    self.tensors[where] = value
        self._touched: set[int] = set()
        self._registered = {id(parameter) for module in self.modules.values() for parameter in module.parameters()}

    def watch_gradients(self) -> list[Any]:
        """Note from now on which parameters receive a gradient; returns the hooks, to be removed."""
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        watched = [tensor for tensor in [*parameters, *self.tensors.values()] if tensor.requires_grad]

        def note(key: int) -> Callable[[Tensor], None]:
            return lambda gradient: self._touched.add(key)

        return [tensor.register_hook(note(id(tensor))) for tensor in watched]

    def count_updates(self, so_far: dict[str, int] | None = None) -> dict[str, int]:
        """Have every optimizer count its steps from now on; a GAN's two take one each in a step of the budget.

        Args:
            so_far: Optimizer -> steps that it has taken before.
        """
        updates = {} if so_far is None else so_far
        for name, optimizer in self.optimizers.items():
            updates.setdefault(name, 0)

            def count(*_: object, name: str = name) -> None:
                updates[name] += 1

            optimizer.register_step_post_hook(count)
        return updates

    def _optimized(self) -> dict[int, tuple[str, Tensor]]:
        return {
            id(tensor): (name, tensor)
            for name, optimizer in self.optimizers.items()
            for group in optimizer.param_groups
            for tensor in group["params"]
        }

    def refuse_hidden(self) -> None:
        """Refuse trainable tensors that are no module's registered parameter, wherever they hang.

        Whatever is computed from registered parameters alone is not hidden: a weight-normalised weight, a list of
        parameters kept for a decay group, the flat weights of a recurrent layer.

        Raises:
            ContractError: Naming the first such place and its size.
        """
        for name, tensor in self._optimized().values():
            if id(tensor) not in self._registered:
                raise ContractError(
                    f"hidden parameters: optimizer self.{name} trains a tensor of {tensor.numel():,} scalars "
                    "that is no module's parameter; put it in a module on self, or in the model"
                )
        for where, tensor in self.tensors.items():
            if (tensor.requires_grad or id(tensor) in self._touched) and not self._derived(tensor):
                raise ContractError(
                    f"hidden parameters: self.{where} is a trainable tensor of {tensor.numel():,} scalars; "
                    "put it in a module on self, such as an nn.ParameterList, or in the model"
                )
        for name, module in self.modules.items():
            for where, tensor in plain_tensors(module):
                if tensor.requires_grad and not self._derived(tensor):
                    raise ContractError(
                        f"hidden parameters: {name}.{where} is a trainable tensor of {tensor.numel():,} "
                        "scalars held as a plain attribute; make it an nn.Parameter"
                    )

    def _derived(self, tensor: Tensor) -> bool:
        """Whether it is a registered parameter, or a result of such alone."""
        return all(id(leaf) in self._registered for leaf in _leaves(tensor))

    def count(self) -> ParameterCount:
        """The parameters that count: the model's, and those of every module that training changes."""
        trained = set(self._optimized()) | self._touched
        counted = {
            name: module
            for name, module in self.modules.items()
            if name == MODEL or any(id(parameter) in trained for parameter in module.parameters())
        }
        return count_parameters(counted)


def plain_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors that submodules hold as plain attributes, which no state dict carries."""
    seen: set[int] = set()
    children = set(module.modules())
    for prefix, child in module.named_modules():
        own = {"_parameters", "_buffers", "_modules"}
        for name, attribute in vars(child).items():
            if name in own:
                continue
            for where, value in _walk(attribute, f"{prefix}.{name}".lstrip("."), seen):
                if isinstance(value, Tensor):
                    yield where, value
                elif isinstance(value, nn.Module) and value not in children:
                    # A module in a plain list: no state dict carries it either.
                    yield from ((f"{where}.{key}", p) for key, p in value.named_parameters())
