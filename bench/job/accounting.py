"""What counts against a parameter cap, and what tries not to.

The cap counts what the papers count: every distinct parameter of the inference network, and every other one
that training changes through a gradient (a discriminator's), but not copies that only follow (an EMA's).
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from bench.errors import ContractError
from bench.job.loading import AnySubmission
from bench.measure.cost import ParameterCount, count_parameters

MODEL = "model"


def _walk(value: Any, where: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Everything reachable from an attribute through containers and plain objects, modules unopened."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | bool | type(None)):
        return
    seen.add(id(value))
    yield where, value
    if isinstance(value, nn.Module | Optimizer | Tensor):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{where}[{key!r}]", seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _walk(item, f"{where}[{index}]", seen)
    elif hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value):
        for name, item in vars(value).items():
            yield from _walk(item, f"{where}.{name}", seen)


class TrainingState:
    """A submission's modules, optimizers and loose tensors, found by walking its attributes."""

    def __init__(self, submission: AnySubmission, model: nn.Module) -> None:
        self.modules: dict[str, nn.Module] = {MODEL: model}
        self.optimizers: dict[str, Optimizer] = {}
        self.tensors: dict[str, Tensor] = {}
        seen = {id(model), id(submission.config)}
        for name, attribute in vars(submission).items():
            for where, value in _walk(attribute, name, seen):
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

    def _optimized(self) -> dict[int, tuple[str, Tensor]]:
        return {
            id(tensor): (name, tensor)
            for name, optimizer in self.optimizers.items()
            for group in optimizer.param_groups
            for tensor in group["params"]
        }

    def refuse_hidden(self) -> None:
        """Refuse trainable tensors that are no module's registered parameter, wherever they hang.

        Raises:
            ContractError: Naming the first such place and its size.
        """
        for name, tensor in self._optimized().values():
            if id(tensor) not in self._registered:
                raise ContractError(
                    f"hidden parameters: optimizer self.{name} trains a tensor of {tensor.numel():,} scalars "
                    "that is no module's parameter; register it as an nn.Parameter of the model"
                )
        for where, tensor in self.tensors.items():
            if tensor.requires_grad or id(tensor) in self._touched:
                raise ContractError(
                    f"hidden parameters: self.{where} is a trainable tensor of {tensor.numel():,} scalars; "
                    "register it as an nn.Parameter of the model"
                )
        for name, module in self.modules.items():
            for where, tensor in plain_tensors(module):
                if tensor.requires_grad:
                    raise ContractError(
                        f"hidden parameters: {name}.{where} is a trainable tensor of {tensor.numel():,} "
                        "scalars held as a plain attribute; make it an nn.Parameter"
                    )

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


class LearnedStateCheck:
    """Notices what training changes in an inference network besides its parameters.

    The running statistics of normalisation layers may change; any other buffer or plain tensor that does is
    a parameter under another name.
    """

    def __init__(self, model: nn.Module) -> None:
        self._before = {name: tensor.detach().clone() for name, tensor in self._state(model)}

    @staticmethod
    def _state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
        statistics = {
            id(buffer)
            for module in model.modules()
            if isinstance(module, _NormBase)
            for name, buffer in module.named_buffers(recurse=False)
            if name in ("running_mean", "running_var", "num_batches_tracked")
        }
        for name, buffer in model.named_buffers():
            if id(buffer) not in statistics:
                yield f"buffer {name}", buffer
        for name, tensor in plain_tensors(model):
            yield f"plain attribute {name}", tensor

    def refuse_changes(self, model: nn.Module) -> None:
        """Refuse what training changed under another name than a parameter's.

        Raises:
            ContractError: If a buffer or plain tensor differs from what it was, or is new.
        """
        for name, tensor in self._state(model):
            before = self._before.get(name)
            if before is None or before.shape != tensor.shape or not torch.equal(before, tensor):
                raise ContractError(
                    f"hidden parameters: {name} of the model ({tensor.numel():,} scalars) is changed by "
                    "training; make it an nn.Parameter, or keep it constant"
                )
