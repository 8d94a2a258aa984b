"""From archives as they are published to files as they are read."""

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path

from bench.data import addnist, cifar100, mnist
from bench.errors import DataError
from bench.files import write_bytes


def unpack(source: Path, root: Path) -> list[Path]:
    """Lay out what is found at ``source`` under ``root``, checked; what is there and intact is left alone.

    Args:
        source: A folder that holds cifar-100-python.tar.gz, the MNIST .gz files or AddNIST's .npy files (also
            in subfolders), or one of these archives.
        root: As from ``store.data_root``.

    Returns:
        The files written.

    Raises:
        DataError: If nothing is there, or something is not what its name says.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    files = [source] if source.is_file() else [path for path in sorted(source.rglob("*")) if path.is_file()]
    expected_arrays = {f"{split}_{kind}.npy" for split in addnist.IMAGES for kind in "xy"}
    written: list[Path] = []
    recognised = False
    for path in files:
        name = path.name.removesuffix(".gz")
        if path.name == cifar100.ARCHIVE:
            written += _unpack_cifar100(path, root)
        elif name in mnist.FILES:
            written += _place(_content(path), root / mnist.FOLDER / name, mnist.FILES[name][1], path)
        elif path.name in expected_arrays:
            written += _place(path.read_bytes(), root / addnist.FOLDER / path.name, None, path)
        else:
            continue
        recognised = True
    if not recognised:
        raise DataError(
            f"{source}: holds none of {cifar100.ARCHIVE}, {', '.join(f'{name}.gz' for name in mnist.FILES)}, "
            f"{', '.join(sorted(expected_arrays))}"
        )
    return written


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); get it again") from None


def _unpack_cifar100(archive: Path, root: Path) -> list[Path]:
    written = []
    try:
        with tarfile.open(archive) as tar:
            for name, md5 in cifar100.MD5.items():
                # Only the three members asked for by name are read, so no path in the archive is followed.
                member = tar.extractfile(f"{cifar100.FOLDER}/{name}")
                if member is None:
                    raise DataError(f"{archive}: {name} in it is not a file")
                written += _place(member.read(), root / cifar100.FOLDER / name, md5, archive)
    except (tarfile.TarError, KeyError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive}: not the official archive, or cut short ({error}); get it again") from None
    return written


def _place(content: bytes, target: Path, md5: str | None, source: Path) -> list[Path]:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise DataError(
            f"{source}: {target.name} in it has md5 {found}, the official file has {md5}; get it again"
        )
    if target.exists() and hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest() == found:
        return []
    try:
        write_bytes(target, content)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror})") from None
    return [target]
