"""Standard output and error that escape control characters, and ignore a closed pipe.

Printed text may come from a submission, a record or an archive, and must not control the terminal. The reader's
encoding may be ASCII, or the pipe may be closed, as in ``bench status | head -1``. Neither is an error.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from bench.text import harmless


class Stream(io.TextIOBase):
    """A stream that writes escaped text to another stream, and discards text once that stream is closed."""

    def __init__(self, target: TextIO | None, *, report_errors: bool = True) -> None:
        """
        Args:
            target: The stream to write to; None if it was closed before this process started.
            report_errors: Whether to raise an error such as a full disk; errors of standard error itself cannot be
                reported anywhere.
        """
        self.target = target
        self.report_errors = report_errors
        self.silent = target is None

    def write(self, text: str) -> int:
        if self.target is not None and not self.silent:
            encoding, target = self.encoding, self.target
            escaped = harmless(text).encode(encoding, "backslashreplace").decode(encoding)
            self._attempt(lambda: target.write(escaped))
        return len(text)

    def flush(self) -> None:
        if self.target is not None and not self.silent:
            self._attempt(self.target.flush)

    def _attempt(self, operation: Callable[[], object]) -> None:
        try:
            operation()
        except (OSError, ValueError) as error:  # ValueError: the stream has been closed
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and self.report_errors:
                raise
            self.silent = True
            # Python flushes the stream again at exit, and would print an error then.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())

    def isatty(self) -> bool:
        return self.target is not None and not self.silent and self.target.isatty()

    def fileno(self) -> int:
        if self.target is None:
            raise OSError("the stream was closed before this process started")
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
def safe_streams() -> Iterator[None]:
    """Replace standard output and error by ``Stream`` objects within the context."""
    original = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr, report_errors=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        sys.stdout, sys.stderr = original
