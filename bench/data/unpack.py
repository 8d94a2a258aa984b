"""Unpacking of published archives into the folder of data sets."""

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path

from bench.data import addnist, cifar100, mnist
from bench.errors import DataError
from bench.files import write_bytes


def unpack(source: Path, root: Path) -> list[Path]:
    """Unpack the archives at ``source`` into ``root`` and check them; intact files are not rewritten.

    Args:
        source: One of cifar-100-python.tar.gz, the MNIST .gz files or the AddNIST .npy files, or a folder with
            some of them, also in subfolders.
        root: Folder of data sets, see ``store.data_root``.

    Returns:
        The files written.

    Raises:
        DataError: If no known file is found, or a file is damaged or not the official one.
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
            f"{source}: contains none of {cifar100.ARCHIVE}, {', '.join(f'{name}.gz' for name in mnist.FILES)}, "
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
        raise DataError(f"{path}: damaged or truncated gzip file ({error}); download it again") from None


def _unpack_cifar100(archive: Path, root: Path) -> list[Path]:
    written = []
    try:
        with tarfile.open(archive) as tar:
            for name, md5 in cifar100.MD5.items():
                # Only these three members are read, by name, so no other path in the archive has an effect.
                member = tar.extractfile(f"{cifar100.FOLDER}/{name}")
                if member is None:
                    raise DataError(f"{archive}: its member {name} is not a file")
                written += _place(member.read(), root / cifar100.FOLDER / name, md5, archive)
    except (tarfile.TarError, KeyError, EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{archive}: not the official archive, or truncated ({error}); download it again"
        ) from None
    return written


def _place(content: bytes, target: Path, md5: str | None, source: Path) -> list[Path]:
    """Check the md5 of ``content`` and write it to ``target`` unless it is already there; return files written."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 is not None and digest != md5:
        raise DataError(
            f"{source}: its file {target.name} has md5 {digest}, the official one has {md5}; download it again"
        )
    if target.exists() and hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest() == digest:
        return []
    try:
        write_bytes(target, content)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror})") from None
    return [target]
