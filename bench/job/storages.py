"""Which tensors share memory: restored values go into the memory that was theirs, and into no other's."""

from typing import Any

import torch
from torch import Tensor
from torch.storage import UntypedStorage


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Storages:
    """For each memory of a snapshot the one that has taken its place.

    A snapshot's tensors that shared memory do so in the checkpoint too. A fresh tensor may share its memory with
    something that it did not share it with when the snapshot was taken (``self.best = model.state_dict()``); then
    the saved values get memory of their own.
    """

    def __init__(self) -> None:
        self._place: dict[int, UntypedStorage] = {}  # saved memory -> memory now
        self._taken: set[int] = set()  # memory now
        self._alive: list[Tensor] = []  # so that no address is used twice

    def know(self, fresh: dict[str, Any], saved: dict[str, Any]) -> None:
        """Remember what ``load_state_dict`` has filled."""
        for name, old in saved.items():
            now = fresh.get(name)
            if isinstance(now, Tensor) and isinstance(old, Tensor):
                self._taken.add(_key(now))
                if _alike(now, old):
                    self._remember(now, old)

    def _remember(self, now: Tensor, old: Tensor) -> None:
        self._place[_key(old)] = now.untyped_storage()
        self._taken.add(_key(now))
        self._alive += [now, old]

    def restored(self, fresh: Any, saved: Tensor) -> Tensor:
        """The saved values: in ``fresh`` if its memory is nothing else's, in memory that they shared, or alone."""
        if saved.layout is not torch.strided or saved.numel() == 0 or saved.is_nested:
            return saved
        shared = self._place.get(_key(saved))
        if shared is not None:
            if isinstance(fresh, Tensor) and _alike(fresh, saved) and _key(fresh) == shared.data_ptr():
                target = fresh
            else:
                target = torch.empty(0, dtype=saved.dtype, device=saved.device)
                target.set_(shared, saved.storage_offset(), saved.size(), saved.stride())
            with torch.no_grad():
                target.copy_(saved)
            return target
        if not isinstance(fresh, Tensor) or not _fits(fresh, saved) or _key(fresh) in self._taken:
            self._remember(saved, saved)
            return saved
        with torch.no_grad():
            fresh.copy_(saved)
        if _alike(fresh, saved):
            self._remember(fresh, saved)
        else:
            self._taken.add(_key(fresh))
        return fresh


def _fits(fresh: Tensor, saved: Tensor) -> bool:
    plain = fresh.layout is torch.strided and not fresh.is_nested and fresh.grad_fn is None
    return plain and fresh.shape == saved.shape and fresh.dtype == saved.dtype


def _alike(fresh: Tensor, saved: Tensor) -> bool:
    """Whether one's place in its memory is as the other's."""
    return bool(
        _fits(fresh, saved)
        and fresh.stride() == saved.stride()
        and fresh.storage_offset() == saved.storage_offset()
        and fresh.untyped_storage().nbytes() == saved.untyped_storage().nbytes()
    )
