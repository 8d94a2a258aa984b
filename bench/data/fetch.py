"""Downloads of the official archives from their official URLs."""

from pathlib import Path

from bench.data import cifair, cifar100, mnist
from bench.data.importing import read_source, write_npz
from bench.data.known import IMPORTED_FROM
from bench.download import Digest, download
from bench.errors import DataError


def fetch(name: str, root: Path) -> list[Path]:
    """Download a known data set, or the duplicate list ``cifair``, into ``root``.

    The archives of ``cifar100`` and ``mnist`` are not unpacked; ``bench.data.unpack`` does that. The others are
    downloaded by torchvision or medmnist, and written as NAME.npz.

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
    if name in IMPORTED_FROM:
        path = root / f"{name}.npz"
        if not path.exists():
            write_npz(read_source(IMPORTED_FROM[name], root, None).splits, path)
        return [path]
    known = ", ".join(["cifar100", "mnist", cifair.NAME, *IMPORTED_FROM])
    raise DataError(f"data set {name!r}: can be downloaded are {known}; see `bench data list`")
