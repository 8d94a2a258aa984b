"""The commands of ``bench data``: list, verify, unpack, fetch."""

from pathlib import Path

from bench.data import cifair, store
from bench.data.fetch import fetch
from bench.data.unpack import unpack
from bench.data.verify import verify_dataset
from bench.errors import ExitCode


def list_text(option: Path | None) -> str:
    """Return a list of the data sets: present or missing, and how to get missing ones."""
    root = store.data_root(option)
    lines = [f"data root: {root} (--data-root, else $BENCH_DATA, else {store.cache_folder()})", ""]
    for name, info in store.REAL.items():
        missing = store.available(name, root) is not None
        lines.append(f"{'–' if missing else '✓'} {name:14} {info.title}")
        if missing:
            lines.append(f"{'':17}to get it: {info.how_to_get}")
    present = cifair.present(root)
    lines.append(
        f"{'✓' if present else '–'} {cifair.NAME:14} near-duplicates of train images in CIFAR-100's test split"
    )
    if not present:
        lines.append(f"{'':17}to get it: `bench data fetch {cifair.NAME}` downloads the list (29 kB)")
    lines.append(f"✓ {'shapes100':14} {store.describe('shapes100').title}; other variants: shapes<classes>x<size>")
    return "\n".join(lines)


def verify_command(option: Path | None) -> ExitCode:
    """Verify every data set that is present, and print the findings.

    Returns:
        0; 2 if a data set is damaged; 5 if none is present.
    """
    root = store.data_root(option)
    names = [name for name in store.REAL if store.available(name, root) is None]
    ok = True
    for name in names:
        print(name)
        for finding in verify_dataset(name, root):
            ok = ok and finding.ok
            print(f"  {'✓' if finding.ok else '✗'} {finding.text}")
    if not names:
        print(f"no real data set in {root}; `bench data list` shows how to get one")
        return ExitCode.NOTHING
    return ExitCode.OK if ok else ExitCode.USAGE


def unpack_text(source: Path, option: Path | None) -> str:
    """Unpack official archives into the data root, and return a list of the written files.

    Args:
        source: A folder of archives, or one archive.
        option: The value of ``--data-root``.

    Raises:
        DataError: If ``source`` contains no known archive, or one is damaged.
    """
    root = store.data_root(option)
    written = unpack(source, root)
    return "\n".join(f"wrote {path}" for path in written) or f"all files are already in {root}"


def fetch_text(name: str, option: Path | None) -> str:
    """Download a data set and unpack it; return a message with its folder.

    Raises:
        DataError: If there is no such data set, the download fails, or its checksum is wrong.
    """
    root = store.data_root(option)
    for file in fetch(name, root):
        if name != cifair.NAME:  # a list that needs no unpacking
            unpack(file, root)
    return f"{name} is in {root}"
