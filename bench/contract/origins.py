"""Which records came from elsewhere: a mark beside each that ``bench unpack`` brought.

It stands in a file of its own, for a record is not altered and says only what its own machine knew. Whoever has
the folder can remove it; it is for them that it is there.
"""

import json
from pathlib import Path

from bench.contract.plain import parse_json
from bench.contract.records import Record
from bench.files import write_bytes

SUFFIX = ".unpacked"
ANY = "any"  # of a run that was begun elsewhere: whatever record it ends in


def mark_unpacked(record: Path, checksum: str, archive: str) -> None:
    """Say beside a record which archive it came out of.

    Raises:
        OSError: If the folder cannot be written.
    """
    content = {"record": checksum, "archive": archive}
    write_bytes(record.with_suffix(SUFFIX), (json.dumps(content) + "\n").encode())


def with_origin(record: Record, path: Path, marks: dict[Path, str]) -> Record:
    """The record at ``path``, knowing whether it came from elsewhere or was begun there.

    Args:
        record: As it was read.
        path: As the folder was named when ``unpacked`` looked for its marks.
        marks: What ``unpacked`` found.
    """
    return record.from_elsewhere() if marks.get(path) in (record.checksum, ANY) else record


def unpacked(results: Path) -> dict[Path, str]:
    """Record -> the checksum that it had when it came, of all under a results folder that are marked."""
    found = {}
    for path in (results / "runs").glob(f"*/*/*/seed*{SUFFIX}"):
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = None
        checksum = content.get("record") if isinstance(content, dict) else None
        found[path.with_suffix(".json")] = checksum if isinstance(checksum, str) else ANY
    return found
