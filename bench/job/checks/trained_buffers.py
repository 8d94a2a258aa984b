"""Find trained buffers: buffers of an inference network that training changes, which count as parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from bench.measure.cost.parameters import numbers_in


class TrainedBuffers:
    """The persistent buffers of an inference network before training, to be compared with those after it.

    Running statistics of torch's normalisation layers may change if the layer is called. Any other buffer that
    changes (a codebook, a scale set from data) counts as a parameter. Tensors outside of the state dict need no
    check: the network rebuilt from the state dict does not have them, and is compared with the trained one.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._called: set[int] | None = None  # IDs of called modules with statistics; None if not watched
        self._before = {name: tensor.detach().clone() for name, tensor in _persistent(model)}

    def watch_calls(self) -> list[Any]:
        """Start to record which normalisation layers are called; return the hooks, which the caller removes."""
        if any(hasattr(module, "_orig_mod") for module in self._model.modules()):
            return []  # compiled code calls no forward hooks of modules
        self._called = called = set()

        def note(module: nn.Module, *_: object) -> None:
            called.add(id(module))

        kinds = (_NormBase, _SpectralNorm)
        return [m.register_forward_hook(note) for m in self._model.modules() if isinstance(m, kinds)]

    def trained_buffers(self, weights: Mapping[str, Tensor] | None = None) -> dict[str, int]:
        """Return the buffers that changed since construction, or are new: name -> scalars.

        Args:
            weights: The final weights. A buffer counts too if it changed only there.
        """
        statistics = {id(buffer) for buffer in _statistics(self._model, self._called)}
        changed = {}
        for name, buffer in _persistent(self._model):
            before = self._before.get(name)
            final = buffer if weights is None else weights.get(name, buffer)
            if id(buffer) not in statistics and (_differs(before, buffer) or _differs(before, final)):
                changed[name] = max(numbers_in(buffer), numbers_in(final))
        return changed


def _persistent(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Return name and tensor of the buffers in the state dict."""
    names = model.state_dict().keys()
    return ((name, buffer) for name, buffer in model.named_buffers() if name in names)


def _differs(before: Tensor | None, now: Tensor) -> bool:
    """Return whether a buffer is new, or its shape or any value changed."""
    return before is None or before.shape != now.shape or not torch.equal(before, now.to(before.device))


def _statistics(model: nn.Module, called: set[int] | None) -> Iterator[Tensor]:
    """Yield the buffers that torch's normalisations update: running statistics and singular vectors.

    Args:
        model: The network.
        called: IDs of the modules that were called; None includes all modules.
    """
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
