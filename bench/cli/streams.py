"""Standard output and error, as others can bear them: no text acts on a terminal, and no reader is missed.

What is printed may have come from a submission, a record or an archive. Whoever reads it may speak ASCII only, or
have gone away, as in ``bench status | head -1``; neither is an error of the command.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from bench.text import harmless


class Stream(io.TextIOBase):
    """A stream that writes to another, until that has no reader any more; then it is silent."""

    def __init__(self, target: TextIO | None, *, matters: bool = True) -> None:
        """
        Args:
            target: What to write to; None for a stream that was closed before this began.
            matters: Whether a full disk is to be told; of standard error there is nobody to tell.
        """
        self.target = target
        self.matters = matters
        self.gone = target is None

    def write(self, text: str) -> int:
        if self.target is not None and not self.gone:
            encoding, target = self.encoding, self.target
            shown = harmless(text).encode(encoding, "backslashreplace").decode(encoding)
            self._do(lambda: target.write(shown))
        return len(text)

    def flush(self) -> None:
        if self.target is not None and not self.gone:
            self._do(self.target.flush)

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError) as error:  # ValueError: it was closed meanwhile
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and self.matters:
                raise
            self.gone = True
            with contextlib.suppress(OSError, ValueError):  # or Python would complain when it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())

    def isatty(self) -> bool:
        return self.target is not None and not self.gone and self.target.isatty()

    def fileno(self) -> int:
        if self.target is None:
            raise OSError("was closed before this began")
        return self.target.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return (self.target.encoding if self.target is not None else None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"


@contextlib.contextmanager
def bearable_streams() -> Iterator[None]:
    """Meanwhile standard output and error are such streams."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr, matters=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        sys.stdout, sys.stderr = before
