"""What travels between machines: folders as bytes, and files that a machine keeps under their content's hash."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.files import hash_file, write_bytes
from bench.locks import locked


@dataclass(frozen=True)
class Parcel:
    """A file that is needed elsewhere."""

    sha256: str
    name: str  # of the file in its folder there, with slashes


def folder_bytes(folder: Path, leave_out: Iterable[Path] = ()) -> bytes:
    """All regular files below ``folder``, but for some, as an archive without owners and times."""
    left_out, buffer = set(leave_out), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in left_out:
                add_bytes(tar, path.relative_to(folder).as_posix(), path.read_bytes())
    return buffer.getvalue()


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A regular file without an owner and times."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_folder(content: bytes, folder: Path) -> None:
    """Lay out what ``folder_bytes`` made; files that are there are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(folder, filter="data")


def parcel_of(path: Path, name: str) -> Parcel:
    """The parcel that ``path`` is."""
    return Parcel(hash_file(path), name)


def place(parcel: Parcel, folder: Path, get: Callable[[], bytes]) -> Path:
    """The parcel's file below ``folder``, fetched by ``get`` if no earlier run on this machine needed it.

    Raises:
        ValueError: If what came is not what was sent.
    """
    path = folder / parcel.sha256[:16] / parcel.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent / ".lock"):
        if not path.exists():
            content = get()
            if hashlib.sha256(content).hexdigest() != parcel.sha256:
                raise ValueError(f"{parcel.name}: another file came than was sent")
            write_bytes(path, content)
    return path
