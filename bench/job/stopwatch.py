"""Times of parts that lie within one another: each instant counts for the innermost part alone."""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Stopwatch:
    """Seconds by part. On a GPU each change of part waits for the device: work counts where it was asked for."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.running = False  # until then what is wrapped runs as if it were not
        self._device = device
        self._open: list[str] = []
        self._since = 0.0

    def enter(self, part: str) -> None:
        """From now on time is ``part``'s."""
        self._charge()
        self._open.append(part)

    def leave(self) -> None:
        """From now on time is that of the part around."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The block is ``name``'s."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose time is ``name``'s."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not self.running:
                return function(*args, **kwargs)
            with self.part(name):
                return function(*args, **kwargs)

        return timed
