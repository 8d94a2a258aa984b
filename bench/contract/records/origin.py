"""Origin of records: a marker file next to each record that ``bench unpack`` imported.

The marker is a separate file because records are immutable. The owner of the results folder can remove it; it is
information for the owner, not protection against the owner.
"""

import json
from pathlib import Path

from bench.contract.documents.schema import parse_json
from bench.contract.records.record import Record
from bench.files import write_bytes

SUFFIX = ".unpacked"
ANY = "any"  # marks a run that was started elsewhere, whichever record it ends in


def mark_unpacked(record: Path, checksum: str, archive: str) -> None:
    """Write the marker of a record, with its checksum and the archive that it came from.

    Raises:
        OSError: If the folder cannot be written.
    """
    content = {"record": checksum, "archive": archive}
    write_bytes(record.with_suffix(SUFFIX), (json.dumps(content) + "\n").encode())


def forget_origin(record: Path) -> None:
    """Remove the marker of a record, if there is one, because its owner vouches for it or repeats its run here.

    Raises:
        OSError: If the folder cannot be written.
    """
    record.with_suffix(SUFFIX).unlink(missing_ok=True)


def is_marked(record: Path) -> bool:
    """Return whether the run of a record was imported or started elsewhere."""
    return record.with_suffix(SUFFIX).exists()


def with_origin(record: Record, path: Path, marks: dict[Path, str]) -> Record:
    """Return the record, marked as unpacked if its run was imported or started elsewhere.

    Args:
        record: The record that was read from ``path``.
        path: Its path, under the results folder as it was passed to ``unpacked``.
        marks: Result of ``unpacked``.
    """
    return record.marked_unpacked() if marks.get(path) in (record.checksum, ANY) else record


def unpacked(results: Path) -> dict[Path, str]:
    """Return the markers in a results folder: path of a record -> its checksum at import, or ``ANY``."""
    marks = {}
    for path in (results / "runs").glob(f"*/*/*/seed*{SUFFIX}"):
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = None
        checksum = content.get("record") if isinstance(content, dict) else None
        marks[path.with_suffix(".json")] = checksum if isinstance(checksum, str) else ANY
    return marks
