"""Reader of the official MNIST files (LeCun et al. 1998) in IDX format, the source of AddNIST-style images."""

import gzip
import hashlib
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

FOLDER = Path("MNIST/raw")
ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# name -> (md5 of the .gz file, md5 of its content)
FILES = {
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
_UBYTE = 0x08


def parse_idx(content: bytes) -> NDArray[np.uint8]:
    """Parse an IDX file of unsigned bytes: two zero bytes, type, rank, big-endian sizes, values.

    Raises:
        ValueError: If the content violates the format, with the value found and the value expected.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"starts with {content[:4]!r}; an IDX file starts with two zero bytes")
    kind, rank = content[2], content[3]
    if kind != _UBYTE or not 1 <= rank <= 4:
        raise ValueError(f"has type {kind:#04x} and rank {rank}; expected unsigned bytes (0x08), rank 1 to 4")
    if len(content) < 4 + 4 * rank:
        raise ValueError(f"ends within its header, after {len(content)} bytes")
    sizes = struct.unpack_from(f">{rank}I", content, 4)
    expected = 4 + 4 * rank + prod(sizes)
    if len(content) != expected:
        raise ValueError(f"has {len(content):,} bytes; sizes {sizes} need {expected:,}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def read(root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read images (N, 28, 28) uint8 and digits (N,) uint8 of ``train`` (60,000) or ``t10k`` (10,000).

    The files may be gzipped.

    Raises:
        DataError: If a file is missing or damaged, or the numbers of images and digits differ.
    """
    images = _read(root / FOLDER / f"{split}-images-idx3-ubyte")
    digits = _read(root / FOLDER / f"{split}-labels-idx1-ubyte")
    if images.ndim != 3 or digits.shape != images.shape[:1]:
        raise DataError(f"{root / FOLDER}: {split} has images {images.shape} and labels {digits.shape}")
    return images, digits


def _read(path: Path) -> NDArray[np.uint8]:
    zipped = _zipped(path)
    try:
        if path.exists():
            return parse_idx(_official(path.name, path.read_bytes()))
        name, path = path.name, zipped
        return parse_idx(_official(name, gzip.decompress(zipped.read_bytes())))
    except (ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {error}; delete it and download it again (`bench data fetch mnist`)") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); `bench data list` says how to get it") from None


def _official(name: str, content: bytes) -> bytes:
    """Return ``content`` if its md5 is the official one; EMNIST, Fashion-MNIST etc. use the same file names."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != FILES[name][1]:
        parse_idx(content)  # gives a more specific error for a truncated file
        raise ValueError(f"has md5 {digest}, the official file has {FILES[name][1]}")
    return content


def paths(root: Path, split: str) -> list[Path]:
    """Return the files of ``train`` or ``t10k``; of a file that exists only gzipped, that one."""
    plain = [root / FOLDER / name for name in FILES if name.startswith(split)]
    return [zipped if (zipped := _zipped(path)).exists() and not path.exists() else path for path in plain]


def _zipped(path: Path) -> Path:
    return path.with_name(path.name + ".gz")
