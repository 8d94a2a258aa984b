"""Reference records: of another results folder, or committed at a git revision."""

import os
from pathlib import Path, PurePosixPath

from bench.contract.records.files import is_current, parse_record
from bench.contract.records.record import Record
from bench.errors import ResultsError, UsageError
from bench.git import GitFailed, git
from bench.report.records.load import read_all


def reference_records(reference: str, results: Path, *, option: str) -> tuple[list[Record], list[str]]:
    """Return the records that ``reference`` names, and a message per unreadable one.

    Args:
        reference: A results folder, or a git revision of the repository that contains ``results``.
        results: The results folder to compare; at a revision the same folder is read.
        option: The command-line option, for the error message.

    Raises:
        UsageError: If ``reference`` is neither.
    """
    if Path(reference).is_dir():
        return read_all(Path(reference))
    folder = results.resolve()
    while not folder.exists():
        folder = folder.parent
    listing = ["ls-tree", "-r", "-z", "--full-tree", "--name-only", reference]
    try:
        top = Path(os.fsdecode(git(folder, "rev-parse", "--show-toplevel")).rstrip("\n"))
        inside = (results.resolve().relative_to(top.resolve()) / "runs").as_posix()
        paths = os.fsdecode(git(top, *listing, "--", inside)).split("\0")
    except (GitFailed, ValueError) as error:
        raise UsageError(
            f"{option} {reference!r}: neither a results folder nor a git revision that has {results} ({error})"
        ) from None
    records, problems = [], []
    for path in paths:
        if is_current(PurePosixPath(path)):
            try:
                text = git(top, "show", f"{reference}:{path}").decode("utf-8", "replace")
                records.append(parse_record(text, f"{reference}:{path}"))
            except (GitFailed, ResultsError) as error:
                problems.append(str(error))
    return records, problems
