"""File transfer between machines: folders as archives, and single files cached under the hash of their content."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.files import hash_file, write_bytes
from bench.locks import locked


@dataclass(frozen=True)
class StagedFile:
    """A file that other machines need."""

    sha256: str
    name: str  # path relative to the receiver's folder, with slashes


def folder_bytes(folder: Path, exclude: Iterable[Path] = ()) -> bytes:
    """Return all regular files below ``folder``, except some, as a tar archive without owners and times."""
    excluded, buffer = set(exclude), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in excluded:
                add_bytes(tar, path.relative_to(folder).as_posix(), path.read_bytes())
    return buffer.getvalue()


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a regular file to a tar archive, without owner and times."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_folder(content: bytes, folder: Path) -> None:
    """Extract an archive made by ``folder_bytes`` into ``folder``, replacing existing files."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(folder, filter="data")


def stage_file(path: Path, name: str) -> StagedFile:
    """Hash the file at ``path``, which other machines receive as ``name``."""
    return StagedFile(hash_file(path), name)


def fetch_staged(staged: StagedFile, folder: Path, fetch: Callable[[], bytes]) -> Path:
    """Return the path of a staged file below ``folder``. Fetch it unless an earlier run on this machine did.

    Raises:
        ValueError: If the fetched content has another hash than the sent file.
    """
    path = folder / staged.sha256[:16] / staged.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent / ".lock"):
        if not path.exists():
            content = fetch()
            if hashlib.sha256(content).hexdigest() != staged.sha256:
                raise ValueError(f"{staged.name}: the received content differs from the sent file")
            write_bytes(path, content)
    return path
