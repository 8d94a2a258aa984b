"""What a branch changes in a contest's repository: submissions, rules and records."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.git import GitFailed, git
from bench.text import one_line


@dataclass(frozen=True)
class Changes:
    """The changes of the working tree since it left another branch."""

    commit: str  # the last common commit
    submissions: list[Path]  # changed folders that are still there, sorted
    removed: list[str]  # names of folders that are not
    rules: list[Path]  # changed files among those that define the contest
    records: int  # changed files below the folder of the records


@dataclass(frozen=True)
class Folders:
    """The folders of a contest, absolute or relative to the current folder; none needs to exist."""

    submissions: Path
    results: Path


def changes_since(base: str, folders: Folders, rules: Sequence[Path]) -> Changes:
    """Return what has changed since the last common commit with ``base``, uncommitted changes included.

    Args:
        base: A git revision.
        folders: Of the contest.
        rules: The files that define it: ``capbench.yaml`` and those of the tracks.

    Raises:
        UsageError: If the current folder is in no repository, or ``base`` is no revision with a common commit.
    """
    here = Path.cwd()
    try:
        top = Path(os.fsdecode(git(here, "rev-parse", "--show-toplevel")).rstrip("\n"))
        commit = _common_commit(here, base)
        changed = git(top, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", commit)
        changed += git(top, "ls-files", "--others", "--exclude-standard", "-z")
    except GitFailed as error:
        raise UsageError(
            f"--base {one_line(base, 80)!r}: cannot be compared with ({error}); give a revision of this "
            "repository, and check out its whole history (fetch-depth: 0)"
        ) from None
    # Not resolved: a link in place of a folder is a changed path, too.
    paths = {top / name for name in os.fsdecode(changed).split("\0") if name}
    submissions, results = (_absolute(path) for path in (folders.submissions, folders.results))
    names = sorted({path.relative_to(submissions).parts[0] for path in paths if submissions in path.parents})
    kept = [submissions / name for name in names if os.path.lexists(submissions / name)]
    return Changes(
        commit=commit,
        submissions=[folders.submissions / path.name for path in kept if path.is_dir() or path.is_symlink()],
        removed=[name for name in names if submissions / name not in kept],
        rules=[path for path in rules if _absolute(path) in paths],
        records=sum(1 for path in paths if results / "runs" in path.parents),
    )


def _absolute(path: Path) -> Path:
    """Return an absolute path without ``..``; links in it stay, unlike with ``resolve``."""
    return Path(os.path.normpath(Path.cwd() / path))


def _common_commit(folder: Path, base: str) -> str:
    """Return the hash of the last common commit of HEAD and ``base``.

    Raises:
        GitFailed: If there is none.
    """
    for words, reason in (
        (("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}"), "no such commit"),
        (("merge-base", base, "HEAD"), "no commit in common with HEAD"),
    ):
        try:
            answer = git(folder, *words)
        except GitFailed as error:
            raise GitFailed(reason if "exited with" in str(error) else str(error)) from None
    return answer.decode().strip()
