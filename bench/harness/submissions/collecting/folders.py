"""Submissions in folders of this machine. Links are not followed, and only regular files are read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.errors import UsageError
from bench.harness.submissions.collecting.archives import is_archive
from bench.harness.submissions.collecting.contents import (
    MAX_ENTRIES,
    Contents,
    Kind,
    SourceEntry,
    is_tools_folder,
    read_exactly,
    too_many_entries,
)
from bench.harness.submissions.discovery import MANIFEST, MODEL

MAX_DEPTH = 8  # of folders in a folder of submissions
MAX_FOLDERS = 100_000  # that are searched for submissions


class Expansion(NamedTuple):
    """The submissions and archives in a folder, and its subfolders that hold none."""

    paths: list[Path]
    without: list[Path]


def open_folder(folder: Path) -> Contents:
    """List a submission's folder.

    Raises:
        UsageError: If it has too many files.
        OSError: If it cannot be read.
    """
    entries: list[SourceEntry] = []
    for entry in _walk(folder, ""):
        entries.append(entry)
        if len(entries) > MAX_ENTRIES:
            raise too_many_entries()
    return Contents(entries, folder.resolve().name)


def _walk(folder: Path, prefix: str) -> Iterator[SourceEntry]:
    with os.scandir(folder) as scan:
        children = sorted(scan, key=lambda child: child.name)
    for child in children:
        path, status = prefix + child.name, child.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and not is_tools_folder(child.name) and path.count("/") < MAX_DEPTH:
            yield from _walk(folder / child.name, f"{path}/")
        else:
            yield _entry(folder / child.name, path, status)


def _entry(file: Path, path: str, status: os.stat_result) -> SourceEntry:
    kinds: dict[int, Kind] = {
        stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link"
    }  # fmt: skip
    kind = kinds.get(stat.S_IFMT(status.st_mode), "special file")
    return SourceEntry(path, kind, status.st_size, lambda: _read(file, status.st_size, path))


def _read(file: Path, size: int, path: str) -> bytes:
    """Read a regular file, which may have been replaced by a link or a pipe since it was listed."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UsageError(f"{path}: not a regular file any more")
        return read_exactly(stream.read, size, path)


def expand(folder: Path) -> Expansion:
    """Find the submissions and archives below a folder, so that each of them is collected on its own.

    Raises:
        UsageError: If there are too many folders.
        OSError: If the folder itself cannot be read.
    """
    if os.path.lexists(folder / MANIFEST):
        return Expansion([folder], [])
    paths: list[Path] = []
    without: list[Path] = []
    visited = [0]
    for child in sorted(folder.iterdir()):
        below = _search(child, 1, visited)
        paths += below
        if not below and child.is_dir() and not is_tools_folder(child.name):
            without.append(child)
    if not paths:
        return Expansion([folder], [])  # it is told why it is no submission
    return Expansion(paths, without)


def _search(path: Path, depth: int, visited: list[int]) -> list[Path]:
    if path.is_symlink() or is_tools_folder(path.name):
        return []
    if not path.is_dir():
        return [path] if is_archive(path.name) and path.is_file() else []
    visited[0] += 1
    if visited[0] > MAX_FOLDERS:
        raise UsageError(f"over {MAX_FOLDERS:,} folders in it; give the submissions' folders one by one")
    if not os.access(path, os.R_OK | os.X_OK) or os.path.lexists(path / MANIFEST):
        return [path]  # one that cannot be read is refused with the reason
    if depth >= MAX_DEPTH:
        return []
    below = [found for child in sorted(path.iterdir()) for found in _search(child, depth + 1, visited)]
    return below or ([path] if os.path.lexists(path / MODEL) else [])
