"""Writing files so that a reader sees the old content or the new, and hashing what was read."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that replaces it when the block ends without an error.

    The content and the folder entry are flushed to disk first, so that a crash at any moment leaves either
    the old file or the whole new one. Parents are created.

    Raises:
        OSError: If the folder cannot be written; ``target`` is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` atomically."""
    with atomic_path(target) as partial:
        partial.write_bytes(content)


REPOSITORY = Path(__file__).resolve().parents[1]


def without_local_paths(text: str) -> str:
    """``text`` without this machine's folders: what goes into a record is published."""
    text = text.replace(str(REPOSITORY), ".")
    try:
        home = str(Path.home())
    except RuntimeError:  # a user without one, as in some containers
        return text
    return text if home == "/" else text.replace(home, "~")


def cache_folder() -> Path:
    """Where what can be had again is kept: this user's cache, or a temporary folder for a user without a home."""
    with contextlib.suppress(RuntimeError):
        path = platformdirs.user_cache_path("capbench")
        if path.is_absolute():
            return path
    return Path(tempfile.gettempdir()) / f"capbench-{os.getuid()}"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: the form that hashes are taken of. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def hash_json(value: Any) -> str:
    """The sha256 of ``canonical_json(value)``, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
