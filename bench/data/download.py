"""Downloads that survive a bad line: resumed, retried, checked, and put in place whole or not at all."""

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from bench.data import cifar100, mnist
from bench.errors import DataError
from bench.files import hash_file

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0


def download(address: str, target: Path, md5: str, *, attempts: int = 5, pause_seconds: float = 1.0) -> Path:
    """Bring ``address`` to ``target``, going on where an earlier attempt broke off.

    Args:
        address: What to get.
        target: Where to; what has come so far lies beside it as ``*.part``.
        md5: Of the whole file, in hex.
        attempts: Tries in all.
        pause_seconds: Wait before the second try, doubled before each further one.

    Raises:
        DataError: If it cannot be had, or what came is something else.
    """
    if target.exists() and hash_file(target, "md5") == md5:
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
            elif error.code < 500:
                break
            continue
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            continue
        found = hash_file(partial, "md5")
        if found == md5:
            partial.replace(target)
            return target
        reason = f"what came has md5 {found}, expected {md5}"
        partial.unlink()
    raise DataError(
        f"{address}: {reason} after {attempt + 1} tries; get the file by hand and `bench data unpack` it"
    )


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


def fetch(name: str, root: Path) -> list[Path]:
    """Download the official archives of ``cifar100`` or ``mnist`` into ``root``; unpacking comes next.

    Raises:
        DataError: If there is no such address, or it cannot be had.
    """
    if name == "cifar100":
        return [download(cifar100.ADDRESS, root / cifar100.ARCHIVE, cifar100.ARCHIVE_MD5)]
    if name == "mnist":
        return [
            download(f"{mnist.ADDRESS}{file}.gz", root / mnist.FOLDER / f"{file}.gz", zipped)
            for file, (zipped, _) in mnist.FILES.items()
        ]
    raise DataError(f"data set {name!r}: cifar100 and mnist have addresses to fetch from; see `bench data list`")
