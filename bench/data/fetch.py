"""The official archives of the real data sets, from their official addresses."""

from pathlib import Path

from bench.data import cifair, cifar100, mnist
from bench.download import Digest, download
from bench.errors import DataError


def fetch(name: str, root: Path) -> list[Path]:
    """Download the official archives of ``cifar100`` or ``mnist``, or the list ``cifair``, into ``root``.

    Archives are to be unpacked next.

    Raises:
        DataError: If there is no such address, or it cannot be had.
    """
    if name == "cifar100":
        return [download(cifar100.ADDRESS, root / cifar100.ARCHIVE, Digest("md5", cifar100.ARCHIVE_MD5))]
    if name == "mnist":
        return [
            download(f"{mnist.ADDRESS}{file}.gz", root / mnist.FOLDER / f"{file}.gz", Digest("md5", zipped))
            for file, (zipped, _) in mnist.FILES.items()
        ]
    if name == cifair.NAME:
        by_hand = f"get the file by hand and put it at {root / cifair.FILE}"
        digest = Digest("sha256", cifair.SHA256)
        return [download(cifair.ADDRESS, root / cifair.FILE, digest, otherwise=by_hand)]
    raise DataError(f"data set {name!r}: cifar100, mnist and cifair have addresses; see `bench data list`")
