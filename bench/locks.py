"""File locks between commands: one lock file per run, held while a command works on that run."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import ResultsError

HELD_ERRNOS = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


class InUse(Exception):
    """Another command holds the lock."""


@contextmanager
def locked(path: Path, *, seconds: float = -1) -> Iterator[None]:
    """Hold the lock at ``path`` during the block.

    Args:
        path: The lock file; created if it does not exist.
        seconds: Timeout for another command to release the lock; negative for no timeout.

    Raises:
        InUse: If another command still holds the lock after the timeout.
        ResultsError: If the folder cannot be written, or its file system does not support locks.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=seconds)
    except Timeout:
        raise InUse from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultsError(
            f"{path.parent}: cannot be locked ({reason}), so concurrent commands cannot use it safely; "
            "choose another --results, on a writable file system with locks"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether a command holds the lock at ``path`` now.

    Nothing is written. The result is False if the file cannot be opened or the file system has no locks.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in HELD_ERRNOS
    finally:
        os.close(file)
    return False
