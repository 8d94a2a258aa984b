"""Downloads of the official archives from their official URLs."""

from pathlib import Path

from bench.data import cifair, cifar100, mnist
from bench.download import Digest, download
from bench.errors import DataError


def fetch(name: str, root: Path) -> list[Path]:
    """Download the archives of ``cifar100`` or ``mnist``, or the duplicate list ``cifair``, into ``root``.

    The archives are not unpacked; ``bench.data.unpack`` does that.

    Returns:
        The downloaded files.

    Raises:
        DataError: If no URL is known for ``name``, or the download fails.
    """
    if name == "cifar100":
        return [download(cifar100.ADDRESS, root / cifar100.ARCHIVE, Digest("md5", cifar100.ARCHIVE_MD5))]
    if name == "mnist":
        return [
            download(f"{mnist.ADDRESS}{file}.gz", root / mnist.FOLDER / f"{file}.gz", Digest("md5", zipped))
            for file, (zipped, _) in mnist.FILES.items()
        ]
    if name == cifair.NAME:
        remedy = f"download the file by hand and put it at {root / cifair.FILE}"
        digest = Digest("sha256", cifair.SHA256)
        return [download(cifair.ADDRESS, root / cifair.FILE, digest, remedy=remedy)]
    raise DataError(f"data set {name!r}: only cifar100, mnist and cifair can be downloaded; see `bench data list`")
