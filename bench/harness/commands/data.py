"""The commands of ``bench data``: list, verify, unpack, fetch, import."""

import json
from pathlib import Path

from bench.contract.contest import find_contest
from bench.contract.datasets import Source, name_of
from bench.contract.tracks import choose_tracks
from bench.data import cifair, store
from bench.data.fetch import fetch
from bench.data.images import fingerprint
from bench.data.importing import Imported, read_source, write_npz
from bench.data.known import IMPORTED_FROM, KNOWN
from bench.data.unpack import unpack
from bench.data.verify import verify_dataset
from bench.errors import DataError, ExitCode, UsageError

DOCUMENT = "docs/contest.md"
ARCHIVES = ("cifar100", "mnist")  # downloads that must be unpacked


def list_text(option: Path | None) -> str:
    """Return a list of the data sets: present or missing, and how to get missing ones."""
    root = store.data_root(option)
    lines = [f"data root: {root} (--data-root, else $BENCH_DATA, else {store.cache_folder()})", ""]
    for name, known in KNOWN.items():
        info = known.info
        missing = store.available(name, root) is not None
        if missing and name in IMPORTED_FROM:
            continue  # in one line below
        lines.append(f"{'–' if missing else '✓'} {name:14} {info.title}")
        if missing:
            lines.append(f"{'':17}to get it: {info.how_to_get}")
    converted = [name for name in IMPORTED_FROM if store.available(name, root) is not None]
    if converted:
        lines.append(f"– {', '.join(converted)}\n{'':17}to get one: `bench data fetch NAME`")
    present = cifair.present(root)
    lines.append(
        f"{'✓' if present else '–'} {cifair.NAME:14} near-duplicates of train images in CIFAR-100's test split"
    )
    if not present:
        lines.append(f"{'':17}to get it: `bench data fetch {cifair.NAME}` downloads the list (29 kB)")
    lines.append(
        f"✓ {'shapes100':14} {store.describe('shapes100').title}; other variants: shapes<classes>x<size>[-grey]"
    )
    lines.append(f"\nother data: `bench data import` converts it, and a track describes it ({DOCUMENT})")
    return "\n".join(lines)


def verify_command(option: Path | None, track: Path | None = None) -> ExitCode:
    """Verify a track's data set, or every known and described data set that is present, and print the findings.

    Args:
        option: The value of ``--data-root``.
        track: The value of ``--track``.

    Returns:
        0; 2 if a data set is damaged; 5 if none is present.

    Raises:
        DataError: If the track's data set is missing.
    """
    root = store.data_root(option)
    chosen = choose_tracks(track)
    selected = [chosen.tracks[chosen.only]] if chosen.only is not None else list(chosen.tracks.values())
    if chosen.only is not None or find_contest() is not None:
        sources: list[Source] = list({name_of(item.data): item.data for item in selected}.values())
        for source in sources:
            if (reason := store.available(source, root, ["train"])) is not None:
                raise DataError(reason)
    else:
        sources = [name for name in KNOWN if store.available(name, root, ["train"]) is None]
    ok = True
    for source in sources:
        print(name_of(source))
        for finding in verify_dataset(source, root):
            ok = ok and finding.ok
            print(f"  {'✓' if finding.ok else '✗'} {finding.text}")
    if not sources:
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
        if name in ARCHIVES:
            unpack(file, root)
    return f"{name} is in {root}"


def import_text(source: str, output: Path, test_output: Path | None, size: int | None, option: Path | None) -> str:
    """Convert a data set into .npz; return the description of it for a track's file.

    Args:
        source: ``KIND:NAME``, see ``read_source``.
        output: The .npz file to write.
        test_output: A second file, for the test split, which the organiser keeps; None to write one file.
        size: The value of ``--size``.
        option: The value of ``--data-root``.

    Raises:
        DataError: If the source cannot be read, or a file cannot be written.
        UsageError: If a file exists already, has another suffix, or there is no test split to write.
    """
    for path in filter(None, (output, test_output)):
        if path.suffix != ".npz":
            raise UsageError(f"{path}: name it *.npz")
        if path.exists():
            raise UsageError(f"{path}: exists already; remove it or choose another name")
    imported = read_source(source, store.data_root(option), size)
    splits = dict(imported.splits)
    if test_output is not None:
        if "test" not in splits:
            raise UsageError(f"{source}: has no test split for {test_output}")
        write_npz({"test": splits.pop("test")}, test_output)
    write_npz(splits, output)
    return _description(imported, output, test_output)


def _description(imported: Imported, output: Path, test_output: Path | None) -> str:
    """Return the ``data`` of a track's file."""
    channels, height, width = imported.image_shape
    counts = ", ".join(f"{len(data.labels):,} {split}" for split, data in imported.splits.items())
    classes = imported.num_classes if imported.class_names is None else json.dumps(imported.class_names)
    square = "" if height == width else f"  # {height}×{width}: tracks need square images; import them with --size"
    lines = [
        f"# {counts} images. For the track's file:",
        "data:",
        f"  name: {output.stem}",
        "  format: npz",
        f"  path: {output}",
        *([] if test_output is None else [f"  test_path: {test_output}"]),
        f"  channels: {channels}",
        f"  size: {height}{square}",
        f"  classes: {classes}"
        + ("  # or their names in label order: [..., ...]" if imported.class_names is None else ""),
        "  sha256:",
        *(f"    {split}: {fingerprint(data)}" for split, data in imported.splits.items()),
    ]
    return "\n".join(lines)
