"""Measure the time of nested parts of a program: time counts for the innermost open part only."""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Stopwatch:
    """A stopwatch of seconds per part.

    On a GPU each change of part synchronises, so that a kernel counts for the part that launched it.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.running = False  # wrapped functions are timed only while True
        self._device = device
        self._open: list[str] = []
        self._since = 0.0

    def enter(self, part: str) -> None:
        """Open ``part``: time counts for it until a nested part opens."""
        self._charge()
        self._open.append(part)

    def leave(self) -> None:
        """Close the innermost part: time counts for the enclosing part again."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        """Add the time since the last change of part to the innermost open part."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of the block for part ``name``."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its time counted for part ``name``."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not self.running:
                return function(*args, **kwargs)
            with self.part(name):
                return function(*args, **kwargs)

        return timed
