"""What ``bench data`` prints."""

from pathlib import Path

from bench.data import cifair, store
from bench.data.fetch import fetch
from bench.data.unpack import unpack
from bench.data.verify import verify_dataset
from bench.errors import ExitCode


def list_text(option: Path | None) -> str:
    """The data root, and for every data set whether it is there or how to get it."""
    root = store.data_root(option)
    lines = [f"data root: {root} (--data-root, else $BENCH_DATA, else {store.cache_folder()})", ""]
    for name, info in store.REAL.items():
        missing = store.available(name, root) is not None
        lines.append(f"{'–' if missing else '✓'} {name:14} {info.title}")
        if missing:
            lines.append(f"{'':17}to get it: {info.how_to_get}")
    there = cifair.present(root)
    lines.append(f"{'✓' if there else '–'} {cifair.NAME:14} test images of CIFAR-100 that nearly occur in train")
    if not there:
        lines.append(f"{'':17}to get it: `bench data fetch {cifair.NAME}` downloads the list (29 kB)")
    lines.append(f"✓ {'shapes100':14} {store.describe('shapes100').title}; shapes<classes>x<size> draws others")
    return "\n".join(lines)


def verify_command(option: Path | None) -> ExitCode:
    """Check every data set that is there; 2 if one is damaged, 5 if none is there."""
    root = store.data_root(option)
    names = [name for name in store.REAL if store.available(name, root) is None]
    ok = True
    for name in names:
        print(name)
        for finding in verify_dataset(name, root):
            ok = ok and finding.ok
            print(f"  {'✓' if finding.ok else '✗'} {finding.text}")
    if not names:
        print(f"no real data set in {root}; `bench data list` says how to get one")
        return ExitCode.NOTHING
    return ExitCode.OK if ok else ExitCode.USAGE


def unpack_text(source: Path, option: Path | None) -> str:
    """Unpack, and say what was written."""
    root = store.data_root(option)
    written = unpack(source, root)
    return "\n".join(f"wrote {path}" for path in written) or f"everything was in {root} already"


def fetch_text(name: str, option: Path | None) -> str:
    """Download, unpack, and say what was written."""
    root = store.data_root(option)
    for file in fetch(name, root):
        if name != cifair.NAME:  # a list that is read as it is
            unpack(file, root)
    return f"{name} is in {root}"
