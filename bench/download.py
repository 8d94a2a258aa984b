"""Downloads over unreliable connections: resumed, retried, checked against a digest, and renamed when complete."""

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from bench.errors import DataError
from bench.files import hash_file

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Digest:
    """The expected digest of a file, or its first hex digits if only those are published."""

    algorithm: str  # a name that hashlib knows
    hex: str


def download(
    address: str,
    target: Path,
    digest: Digest,
    *,
    attempts: int = 5,
    pause_seconds: float = 1.0,
    remedy: str = "download the file by hand and `bench data unpack` it",
) -> Path:
    """Download ``address`` to ``target``, resuming where an earlier attempt stopped.

    Args:
        address: The URL.
        target: The file to write; an incomplete download is stored next to it as ``*.part``.
        digest: The expected digest of the complete file.
        attempts: Maximum number of attempts.
        pause_seconds: Pause before the second attempt, doubled before each further one.
        remedy: The last part of the error message: what to do after a failure.

    Returns:
        ``target``. A file there that has the right digest is not downloaded again.

    Raises:
        DataError: If the download fails, or the file has another digest.
    """
    if target.exists() and hash_file(target, digest.algorithm).startswith(digest.hex):
        return target
    partial = target.with_name(target.name + ".part")
    reason = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _continue(address, partial)
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code == 416:  # range not satisfiable: the partial file has the server's length or more
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):  # timeout, too many requests
                break
            continue
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            continue
        file_digest = hash_file(partial, digest.algorithm)
        if file_digest.startswith(digest.hex):
            partial.replace(target)
            return target
        reason = f"the downloaded file has {digest.algorithm} {file_digest}, expected {digest.hex}"
        partial.unlink()
    raise DataError(f"{address}: {reason} after {attempt + 1} attempts; {remedy}")


def _continue(address: str, partial: Path) -> None:
    """Append the missing bytes of ``address`` to ``partial``, or all bytes if the server ignores ranges."""
    size = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={size}-"} if size else {}
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        # A server that does not support ranges answers 200 with the complete file.
        mode = "ab" if response.status == 206 else "wb"
        remaining = int(response.headers.get("Content-Length", 0))
        with partial.open(mode) as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                remaining -= len(chunk)
        if remaining > 0:
            raise ConnectionError(f"the connection closed {remaining:,} bytes before the end of the file")
