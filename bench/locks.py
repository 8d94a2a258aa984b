"""Locks between commands: one file a run, held while a command is at it."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import ResultsError

HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


class InUse(Exception):
    """Another command holds the lock."""


@contextmanager
def locked(path: Path, *, seconds: float = -1) -> Iterator[None]:
    """Meanwhile nobody else holds ``path``, which is made if it is not there.

    Args:
        path: Of the lock file.
        seconds: How long to wait for another command; below 0 for as long as it takes.

    Raises:
        InUse: If another command still holds it then.
        ResultsError: If the folder cannot be written, or its file system has no locks.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=seconds)
    except Timeout:
        raise InUse from None
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        raise ResultsError(
            f"{path.parent}: cannot be locked ({why}), so that two commands could not share it; "
            "choose another --results, on a file system that can be written and has locks"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a command holds the lock at ``path`` now. Nothing is written; without locks nobody does."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in HELD
    finally:
        os.close(file)
    return False
