"""Records to compare with: another results folder's, or those that were committed at some revision."""

import subprocess
from pathlib import Path, PurePosixPath

from bench.contract.records import Record, is_current, parse_record
from bench.errors import ResultsError, UsageError
from bench.report.reading import read_all

GIT_SECONDS = 60


def reference_records(reference: str, results: Path, *, option: str) -> tuple[list[Record], list[str]]:
    """The records that ``reference`` means, and a line for each that cannot be read.

    Args:
        reference: A results folder, or a revision of the repository that ``results`` is in.
        results: The results folder that is compared; at a revision the same folder is looked at.
        option: What the user gave it with, for the message.

    Raises:
        UsageError: If it is neither.
    """
    if Path(reference).is_dir():
        return read_all(Path(reference))
    folder = results.resolve()
    while not folder.exists():
        folder = folder.parent
    listing = ["ls-tree", "-r", "-z", "--full-tree", "--name-only", reference]
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
        inside = (results.resolve().relative_to(top) / "runs").as_posix()
        paths = _git(top, *listing, "--", inside).decode().split("\0")
    except (OSError, subprocess.SubprocessError, ValueError):
        raise UsageError(
            f"{option} {reference!r}: neither a results folder nor a git revision that has {results}"
        ) from None
    records, problems = [], []
    for path in paths:
        if is_current(PurePosixPath(path)):
            try:
                text = _git(top, "show", f"{reference}:{path}").decode("utf-8", "replace")
                records.append(parse_record(text, f"{reference}:{path}"))
            except ResultsError as error:
                problems.append(str(error))
    return records, problems


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=GIT_SECONDS).stdout
