"""Reading of archives that nobody vouches for: decompression with a limit, and tar files read to their end."""

import tarfile
from collections.abc import Iterator
from typing import Protocol

CHUNK = 2**20


class TooLarge(Exception):
    """More bytes than allowed came out of a compressed file."""


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""


def chunks_up_to(stream: Readable, limit: int) -> Iterator[bytes]:
    """Yield the bytes of a stream, and stop a decompression bomb while it is read.

    Raises:
        TooLarge: Once there are more than ``limit`` bytes.
    """
    size = 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise TooLarge
        yield chunk


def has_unread_content(tar: tarfile.TarFile) -> bool:
    """Return whether data follow the last file that was read: then reading ended at a damaged header."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    while chunk := tar.fileobj.read(CHUNK):
        if chunk.strip(b"\0"):
            return True
    return False
