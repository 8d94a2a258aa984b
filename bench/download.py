"""Downloads that survive a bad line: resumed, retried, checked, and put in place whole or not at all."""

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
    """What a file's digest has to be, or to begin with where no more of it is published."""

    algorithm: str  # as hashlib calls it
    hex: str


def download(
    address: str,
    target: Path,
    digest: Digest,
    *,
    attempts: int = 5,
    pause_seconds: float = 1.0,
    otherwise: str = "get the file by hand and `bench data unpack` it",
) -> Path:
    """Bring ``address`` to ``target``, going on where an earlier attempt broke off.

    Args:
        address: What to get.
        target: Where to; what has come so far lies beside it as ``*.part``.
        digest: Of the whole file.
        attempts: Tries in all.
        pause_seconds: Wait before the second try, doubled before each further one.
        otherwise: What the message of a failure advises.

    Raises:
        DataError: If it cannot be had, or what came is something else.
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
            if error.code == 416:  # more here than there: not the same file
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):  # timeout, too many requests
                break
            continue
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            continue
        found = hash_file(partial, digest.algorithm)
        if found.startswith(digest.hex):
            partial.replace(target)
            return target
        reason = f"what came has {digest.algorithm} {found}, expected {digest.hex}"
        partial.unlink()
    raise DataError(f"{address}: {reason} after {attempt + 1} tries; {otherwise}")


def _continue(address: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        # A server that knows no ranges answers 200 with the whole file.
        mode = "ab" if response.status == 206 else "wb"
        left = int(response.headers.get("Content-Length", 0))
        with partial.open(mode) as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                left -= len(chunk)
        if left > 0:
            raise ConnectionError(f"the connection broke off with {left:,} bytes to go")
