"""Count the parameters that a parameter cap limits, and refuse hidden parameters.

The count follows the papers: every distinct parameter of the inference network, and every other parameter that
training changes through a gradient (such as a discriminator's), but no averaged copies (such as an EMA's).
"""

import functools
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import ContractError
from bench.job.checkpoints.capture import attributes_of
from bench.job.loading import AnySubmission
from bench.measure.cost.parameters import ParameterCount, count_parameters

MODEL = "model"


def _walk(value: Any, where: str, seen: set[int], *, functions: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield path and value of every object reachable from an attribute through containers and objects.

    Modules, optimizers and tensors are yielded, but not entered.

    Args:
        value: The attribute.
        where: Its path, such as "optimizer".
        seen: IDs of objects to skip; visited objects are added.
        functions: Whether to enter closures, partials and bound methods.
    """
    if id(value) in seen or isinstance(value, str | bytes | int | float | bool | type(None)):
        return
    seen.add(id(value))
    yield where, value
    if not isinstance(value, nn.Module | Optimizer | Tensor):
        for suffix, item in _items(value, functions):
            yield from _walk(item, where + suffix, seen, functions=functions)


def _items(value: Any, functions: bool) -> Iterator[tuple[str, Any]]:
    """Yield the objects that ``value`` contains, each with the suffix that extends the path of ``value``."""
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
    """Return the content of a closure's cell; None if it is not assigned yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _leaves(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the leaf tensors of the autograd graph of ``tensor``."""
    if tensor.grad_fn is None:
        yield tensor
        return
    pending, seen = [tensor.grad_fn], {tensor.grad_fn}
    while pending:
        node = pending.pop()
        if hasattr(node, "variable"):
            yield node.variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)


class ParameterCounter:
    """The modules, optimizers and tensors that are reachable from a submission's attributes.

    Each is stored under its path, such as "critic" for ``self.critic``; the network's path is "model".
    """

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
        self.with_gradient: set[int] = set()  # IDs of tensors that received a gradient
        self._registered = {id(parameter) for module in self.modules.values() for parameter in module.parameters()}

    def watch_gradients(self) -> list[Any]:
        """Start to record which parameters receive a gradient; return the hooks, which the caller removes."""
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        watched = [tensor for tensor in [*parameters, *self.tensors.values()] if tensor.requires_grad]

        def note(key: int) -> Callable[[Tensor], None]:
            return lambda gradient: self.with_gradient.add(key)

        return [tensor.register_hook(note(id(tensor))) for tensor in watched]

    def count_updates(self, so_far: dict[str, int] | None = None) -> dict[str, int]:
        """Start to count the steps of every optimizer; return the counters, which keep being updated.

        Args:
            so_far: Optimizer -> steps before a resume; updated in place.

        Returns:
            Optimizer -> steps. The two optimizers of a GAN usually take one step each per budget step.
        """
        updates = {} if so_far is None else so_far
        for name, optimizer in self.optimizers.items():
            updates.setdefault(name, 0)

            def count(*_: object, name: str = name) -> None:
                updates[name] += 1

            optimizer.register_step_post_hook(count)
        return updates

    def _optimized(self) -> dict[int, tuple[str, Tensor]]:
        """Return the tensors that optimizers train: ID -> optimizer and tensor."""
        return {
            id(tensor): (name, tensor)
            for name, optimizer in self.optimizers.items()
            for group in optimizer.param_groups
            for tensor in group["params"]
        }

    def check_hidden_parameters(self) -> None:
        """Refuse trainable tensors that are not registered as a parameter of any module.

        Tensors computed from registered parameters alone are not hidden: a weight-normalised weight, a list of
        parameters for a decay group, the flat weights of a recurrent layer.

        Raises:
            ContractError: Naming the first hidden tensor and its size.
        """
        for name, tensor in self._optimized().values():
            if id(tensor) not in self._registered:
                raise ContractError(
                    f"hidden parameters: optimizer self.{name} trains a tensor of {tensor.numel():,} scalars "
                    "that is not a parameter of any module; put it into the model, or into a module on self"
                )
        for where, tensor in self.tensors.items():
            if (tensor.requires_grad or id(tensor) in self.with_gradient) and not self._derived(tensor):
                raise ContractError(
                    f"hidden parameters: self.{where} is a trainable tensor of {tensor.numel():,} scalars "
                    "that is not a parameter of any module; put it into the model, or into a module on self such "
                    "as an nn.ParameterList"
                )
        for name, module in self.modules.items():
            for where, tensor in plain_tensors(module):
                if tensor.requires_grad and not self._derived(tensor):
                    raise ContractError(
                        f"hidden parameters: {name}.{where} is a trainable tensor of {tensor.numel():,} "
                        "scalars in a plain attribute; register it as an nn.Parameter, a list of layers as an "
                        "nn.ModuleList"
                    )

    def _derived(self, tensor: Tensor) -> bool:
        """Return whether ``tensor`` is a registered parameter, or computed from registered parameters alone."""
        return all(id(leaf) in self._registered for leaf in _leaves(tensor))

    def count(self) -> ParameterCount:
        """Count the parameters of the model, and of every other module with a parameter that training changes."""
        trained = set(self._optimized()) | self.with_gradient
        counted = {
            name: module
            for name, module in self.modules.items()
            if name == MODEL or any(id(parameter) in trained for parameter in module.parameters())
        }
        return count_parameters(counted)


def plain_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield path and tensor of tensors in plain attributes of submodules, which are in no state dict."""
    seen: set[int] = set()
    children = set(module.modules())
    for prefix, child in module.named_modules():
        registered = {"_parameters", "_buffers", "_modules"}
        for name, attribute in vars(child).items():
            if name in registered:
                continue
            for where, value in _walk(attribute, f"{prefix}.{name}".lstrip("."), seen):
                if isinstance(value, Tensor):
                    yield where, value
                elif isinstance(value, nn.Module) and value not in children:
                    # A module in a plain list is in no state dict either.
                    yield from ((f"{where}.{key}", p) for key, p in value.named_parameters())
