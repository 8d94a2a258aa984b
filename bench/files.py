"""Atomic writes, hashes of files and JSON, and this user's cache folder."""

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
    """Yield a temporary path next to ``target`` that replaces it when the block ends without an error.

    The content and the folder entry are flushed to disk, so that a crash at any moment leaves either the old file
    or the complete new one. Parent folders are created.

    Raises:
        OSError: If the folder cannot be written; ``target`` is then unchanged.
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
    """Replace this machine's folders in ``text`` by ``.`` and ``~``, because records are published."""
    text = text.replace(str(REPOSITORY), ".")
    try:
        home = str(Path.home())
    except RuntimeError:  # a user without a home folder, as in some containers
        return text
    return text if home == "/" else text.replace(home, "~")


def cache_folder() -> Path:
    """Return the folder for reproducible files: this user's cache, or a temporary folder without a home folder."""
    with contextlib.suppress(RuntimeError):
        path = platformdirs.user_cache_path("capbench")
        if path.is_absolute():
            return path
    return Path(tempfile.gettempdir()) / f"capbench-{os.getuid()}"


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces, the form that is hashed.

    Raises:
        ValueError: If it contains NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def hash_json(value: Any) -> str:
    """Return the sha256 of ``canonical_json(value)`` in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file's bytes in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
