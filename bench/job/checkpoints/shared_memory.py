"""Restore memory sharing: tensors share a storage after restoring if, and only if, they did in the snapshot."""

from typing import Any

import torch
from torch import Tensor
from torch.storage import UntypedStorage


def _key(tensor: Tensor) -> int:
    """Return the address of a tensor's storage."""
    return tensor.untyped_storage().data_ptr()


class SharedMemory:
    """The mapping from the storages of a snapshot to the storages that replace them.

    Tensors that shared a storage in the snapshot do so in the checkpoint file too. After ``init_training`` a fresh
    tensor may share its storage with a tensor with which it did not share it in the snapshot
    (``self.best = model.state_dict()``); then the saved values get a separate storage.
    """

    def __init__(self) -> None:
        self._replacement: dict[int, UntypedStorage] = {}  # address of the saved storage -> fresh storage
        self._in_use: set[int] = set()  # addresses of fresh storages with restored values
        self._alive: list[Tensor] = []  # kept alive, so that no address is reused

    def register_loaded(self, fresh: dict[str, Any], saved: dict[str, Any]) -> None:
        """Register the tensors that ``load_state_dict`` has filled.

        Args:
            fresh: The state dict of the module after loading.
            saved: The state dict that was loaded.
        """
        for name, saved_tensor in saved.items():
            fresh_tensor = fresh.get(name)
            if isinstance(fresh_tensor, Tensor) and isinstance(saved_tensor, Tensor):
                self._in_use.add(_key(fresh_tensor))
                if _same_layout(fresh_tensor, saved_tensor):
                    self._register(fresh_tensor, saved_tensor)

    def _register(self, fresh: Tensor, saved: Tensor) -> None:
        """Register the storage of ``fresh`` as the replacement of the storage of ``saved``."""
        self._replacement[_key(saved)] = fresh.untyped_storage()
        self._in_use.add(_key(fresh))
        self._alive += [fresh, saved]

    def restored(self, fresh: Any, saved: Tensor) -> Tensor:
        """Return a tensor with the saved values.

        It uses the replacement of the saved storage if there is one. Otherwise it is ``fresh``, if that fits and
        its storage is not in use, else ``saved``.
        """
        if saved.layout is not torch.strided or saved.numel() == 0 or saved.is_nested:
            return saved
        shared = self._replacement.get(_key(saved))
        if shared is not None:
            if isinstance(fresh, Tensor) and _same_layout(fresh, saved) and _key(fresh) == shared.data_ptr():
                target = fresh
            else:
                target = torch.empty(0, dtype=saved.dtype, device=saved.device)
                target.set_(shared, saved.storage_offset(), saved.size(), saved.stride())
            with torch.no_grad():
                target.copy_(saved)
            return target
        if not isinstance(fresh, Tensor) or not _fits(fresh, saved) or _key(fresh) in self._in_use:
            self._register(saved, saved)
            return saved
        with torch.no_grad():
            fresh.copy_(saved)
        if _same_layout(fresh, saved):
            self._register(fresh, saved)
        else:
            self._in_use.add(_key(fresh))
        return fresh


def _fits(fresh: Tensor, saved: Tensor) -> bool:
    """Return whether ``saved`` can be copied into ``fresh``: a dense tensor of the same shape and dtype."""
    plain = fresh.layout is torch.strided and not fresh.is_nested and fresh.grad_fn is None
    return plain and fresh.shape == saved.shape and fresh.dtype == saved.dtype


def _same_layout(fresh: Tensor, saved: Tensor) -> bool:
    """Return whether both occupy the same part of storages of the same size."""
    return bool(
        _fits(fresh, saved)
        and fresh.stride() == saved.stride()
        and fresh.storage_offset() == saved.storage_offset()
        and fresh.untyped_storage().nbytes() == saved.untyped_storage().nbytes()
    )
