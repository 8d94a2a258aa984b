"""What training changes in an inference network under another name than a parameter's."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from bench.measure.parameters import numbers_in


class LearnedState:
    """What training changes in an inference network besides its parameters.

    Running statistics of the standard library's normalisations may change, if these are in use. Any other buffer
    that changes is a parameter under another name (a codebook, a scale set from data) and counts as one. What is
    in no state dict is of no use to the rebuilt network, which is compared with the trained one.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._called: set[int] | None = None  # of modules with statistics; None where nobody watched
        self._before = {name: tensor.detach().clone() for name, tensor in _persistent(model)}

    def watch_calls(self) -> list[Any]:
        """Note from now on which normalisations are in use; returns the hooks, to be removed."""
        if any(hasattr(module, "_orig_mod") for module in self._model.modules()):
            return []  # compiled: what runs calls no modules
        self._called = called = set()

        def note(module: nn.Module, *_: object) -> None:
            called.add(id(module))

        kinds = (_NormBase, _SpectralNorm)
        return [m.register_forward_hook(note) for m in self._model.modules() if isinstance(m, kinds)]

    def trained_buffers(self, weights: Mapping[str, Tensor] | None = None) -> dict[str, int]:
        """Name -> scalars of the buffers that differ from what they were, or are new.

        Args:
            weights: The final weights, which may differ where the network does not.
        """
        statistics = {id(buffer) for buffer in _statistics(self._model, self._called)}
        found = {}
        for name, buffer in _persistent(self._model):
            before = self._before.get(name)
            final = buffer if weights is None else weights.get(name, buffer)
            if id(buffer) not in statistics and (_differs(before, buffer) or _differs(before, final)):
                found[name] = max(numbers_in(buffer), numbers_in(final))
        return found


def _persistent(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The buffers that a state dict carries."""
    carried = model.state_dict().keys()
    return ((name, buffer) for name, buffer in model.named_buffers() if name in carried)


def _differs(before: Tensor | None, now: Tensor) -> bool:
    return before is None or before.shape != now.shape or not torch.equal(before, now.to(before.device))


def _statistics(model: nn.Module, called: set[int] | None) -> Iterator[Tensor]:
    """Buffers that normalisations of the standard library update: running statistics, singular vectors."""
    for module in model.modules():
        buffers = dict(module.named_buffers(recurse=False))
        names = set()
        if called is None or id(module) in called:
            if isinstance(module, _NormBase):
                names = {"running_mean", "running_var", "num_batches_tracked"}
            elif isinstance(module, _SpectralNorm):
                names = {"_u", "_v"}
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                names |= {f"{hook.name}_u", f"{hook.name}_v"}
        yield from (buffers[name] for name in names & buffers.keys())
