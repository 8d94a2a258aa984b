"""Submissions in .zip and .tar archives, which may be hostile: nothing is extracted, and every read has a limit.

The decompressed tar file lies in a temporary file without a name. Of a zip archive, only the files of submissions
are decompressed.
"""

import gzip
import lzma
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from bench.errors import UsageError
from bench.harness.bounded_archives import TooLarge, chunks_up_to, has_unread_content
from bench.harness.submissions.collecting.contents import (
    MAX_ENTRIES,
    Contents,
    Kind,
    SourceEntry,
    checked_path,
    read_exactly,
    too_many_entries,
)
from bench.text import one_line

SUFFIX = re.compile(r"\.(zip|tar|tar\.gz|tgz|tar\.xz)$", re.IGNORECASE)
SUFFIXES = ".zip, .tar, .tar.gz, .tgz and .tar.xz"
MAX_TAR_BYTES = 2**30  # decompressed, with data and weights that are left out later
MAX_HEADER_BYTES = 2**20  # of a tar header for long names
MAX_DIRECTORY_BYTES = 2**22  # of a zip archive's list of files: Python reads it at once
MAX_XZ_MEMORY_BYTES = 2**28
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError,
    OverflowError, NotImplementedError, RuntimeError, gzip.BadGzipFile,
)  # fmt: skip


def is_archive(name: str) -> bool:
    """Return whether a file of this name is an archive that is read here."""
    return SUFFIX.search(name) is not None


@contextmanager
def opened_archive(path: Path) -> Iterator[Contents]:
    """List an archive, whose files can be read within the context.

    Raises:
        UsageError: If it is damaged, no archive, too large, or has paths that lead out of it.
        OSError: If it cannot be read.
    """
    try:
        with path.open("rb") as file, _damage_as_error():
            listed = _zip_entries if path.name.lower().endswith(".zip") else _tar_entries
            with listed(file, path.name.lower()) as entries:
                yield Contents(entries, SUFFIX.sub("", path.name))
    except TooLarge:
        raise UsageError(
            f"over {MAX_TAR_BYTES:,} bytes when decompressed; hand in code, without data and weights"
        ) from None


@contextmanager
def _damage_as_error() -> Iterator[None]:
    """Raise UsageError for the many errors with which Python's modules answer a damaged archive."""
    try:
        yield
    except DAMAGED as error:
        raise UsageError(
            f"damaged, or no archive of this kind ({one_line(str(error), 200)}); pack or download it again"
        ) from None


@contextmanager
def _zip_entries(file: BinaryIO, name: str) -> Iterator[list[SourceEntry]]:
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        # Not `info.is_dir()`, which raises IndexError for an entry without a name.
        yield [_zip_entry(archive, info) for info in archive.infolist() if not info.filename.endswith("/")]


def _check_directory(file: BinaryIO) -> None:
    """Raise UsageError if the list of files is long: ``zipfile`` would first read all of it into memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 2**16 - 22))
    tail = file.read()
    ends = [match.start() for match in re.finditer(rb"PK\x05\x06", tail) if match.start() + 22 <= len(tail)]
    for end in ends:
        entries, directory_bytes = struct.unpack("<HL", tail[end + 10 : end + 16])
        # Only archives of over 65,535 files or two gigabytes have the second kind of end.
        large = tail[max(0, end - 20) : end].startswith(b"PK\x06\x07")
        if large or entries > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
            raise too_many_entries("entries, or gigabytes")
    file.seek(0)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> SourceEntry:
    mode = stat.S_IFMT(info.external_attr >> 16)
    kinds: dict[int, Kind] = {0: "file", stat.S_IFREG: "file", stat.S_IFLNK: "symbolic link"}
    kind, path = kinds.get(mode, "special file"), checked_path(info.filename)
    return SourceEntry(path, kind, info.file_size, lambda: _read_zip(archive, info))


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & 1:
        raise UsageError(f"{one_line(info.filename, 100)} has a password; pack it without")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Python reads others in pieces of which each can expand without a limit.
        raise UsageError(f"{one_line(info.filename, 100)} is packed by a rare method; pack it with plain zip")
    with _damage_as_error(), archive.open(info) as stream:
        return read_exactly(stream.read, info.file_size, info.filename)


class _Header(tarfile.TarInfo):
    """A tar header that refuses what ``tarfile`` would read into memory without a limit."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        header = super().frombuf(buf, encoding, errors)
        kinds = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        names = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if header.type in kinds + names and header.size > MAX_HEADER_BYTES:
            raise UsageError(f"a header of {header.size:,} bytes, at most {MAX_HEADER_BYTES:,}; pack it again")
        return header

    def _proc_gnusparse_10(self, *arguments: object) -> None:
        """Refuse a sparse file, whose map ``tarfile`` reads from the file's content, however long it is."""
        raise UsageError("a sparse file in it; pack it with `tar` without --sparse")


@contextmanager
def _tar_entries(file: BinaryIO, name: str) -> Iterator[list[SourceEntry]]:
    with tempfile.TemporaryFile() as content:
        for chunk in chunks_up_to(_decompressed(file, name), MAX_TAR_BYTES):
            content.write(chunk)
        content.seek(0)
        with tarfile.open(fileobj=content, mode="r:", tarinfo=_Header) as tar:
            entries: list[SourceEntry] = []
            for number, member in enumerate(tar):
                if number >= MAX_ENTRIES:
                    raise too_many_entries()
                path = checked_path(member.name)
                if not member.isdir():
                    entries.append(_tar_entry(tar, member, path))
            if has_unread_content(tar):
                raise tarfile.ReadError(f"after byte {tar.offset:,}")
            yield entries


def _tar_entry(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> SourceEntry:
    kind: Kind = "special file"
    if member.issym():
        kind = "symbolic link"
    elif member.islnk():
        kind = "hard link"
    elif member.isreg() and not member.issparse():
        kind = "file"
    return SourceEntry(path, kind, member.size, lambda: _read_tar(tar, member))


def _read_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _damage_as_error():
        stream = tar.extractfile(member)
        assert stream is not None  # a regular file
        return read_exactly(stream.read, member.size, member.name)


def _decompressed(file: BinaryIO, name: str) -> "IO[bytes] | gzip.GzipFile | _XzReader":
    if name.endswith(("gz", "tgz")):
        return gzip.GzipFile(fileobj=file)
    return _XzReader(file) if name.endswith(".xz") else file


class _XzReader:
    """Decompression of an .xz file with limited memory, which ``lzma.open`` does not offer."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY_BYTES)

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end.

        Raises:
            EOFError: If the file ends too early.
            lzma.LZMAError: If it is damaged or needs too much memory.
        """
        while not self.decompressor.eof:
            packed = self.file.read(2**16) if self.decompressor.needs_input else b""
            if not packed and self.decompressor.needs_input:
                raise EOFError("it ends too early")
            if content := self.decompressor.decompress(packed, size):
                return content
        return b""
