"""Handed-in weights of collected submissions, kept apart: a submission can read its own folder while it trains."""

from collections.abc import Mapping
from pathlib import Path

from bench.contract.jobs.files import HANDED_IN_SUFFIXES
from bench.errors import UsageError
from bench.files import write_bytes
from bench.harness.submissions.collecting.contents import SourceEntry
from bench.harness.submissions.handed_in import NAMES

MAX_WEIGHTS_BYTES = 2**26  # of one file, which is read into memory


def find_weights(entries: Mapping[str, SourceEntry]) -> str | None:
    """Return the name of the weights file among the entries of a submission's folder; None if there is none."""
    return next((name for name in NAMES if name in entries), None)


def place_weights(path: str, entry: SourceEntry, folder: Path, name: str, *, replace: bool, dry_run: bool) -> str:
    """Write the weights file of a submission as ``folder/NAME.SUFFIX``. Return a line for the user.

    Args:
        path: Name of the file in the submission's folder.
        entry: The file.
        folder: Of the handed-in weights.
        name: Of the submission.
        replace: Whether other weights of this name may be replaced.
        dry_run: Whether to check only.

    Raises:
        UsageError: If it is no regular file or too large, or if other weights exist and are not to be replaced.
        OSError: If it cannot be read or written.
    """
    if entry.kind != "file":
        raise UsageError(f"{path} is a {entry.kind}; hand in a regular file")
    if entry.size is None:
        raise UsageError(f"{path} is too large to be fetched from a repository; hand it in as an archive")
    if entry.size > MAX_WEIGHTS_BYTES:
        raise UsageError(f"{path}: {entry.size:,} bytes, at most {MAX_WEIGHTS_BYTES:,}; hand in the weights alone")
    content, target = entry.read(), folder / f"{name}{Path(path).suffix}"
    existing = [other for suffix in HANDED_IN_SUFFIXES if (other := folder / f"{name}{suffix}").exists()]
    if existing == [target] and target.read_bytes() == content:
        return f"weights: {target}, unchanged"
    if existing and not replace:
        raise UsageError(
            f"{existing[0]} exists already, with other weights; --replace replaces those of the same team"
        )
    if not dry_run:
        write_bytes(target, content)
        for other in existing:
            if other != target:
                other.unlink()
    return f"weights: {target} ({len(content):,} bytes)"
