"""What a source holds: its entries, the submissions among them, and the files that a submission needs.

Folders, archives and repositories are listed alike, and a file is read only if its submission needs it. Nothing is
extracted: a path of a source is compared with rules before it names a file here, and no link is ever followed.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from bench.contract.collected import COLLECTED
from bench.errors import UsageError
from bench.harness.submissions.discovery import MANIFEST, MODEL
from bench.text import one_line

Kind = Literal["file", "symbolic link", "hard link", "special file", "submodule", "folder"]

MAX_ENTRIES = 10_000  # of one archive, repository or submission's folder
MAX_SUBMISSIONS = 500  # in one source
MAX_FILES = 100  # that one submission keeps
MAX_SUBMISSION_BYTES = 2**22  # of these files together
MAX_TEXT_BYTES = 2**20  # of one file of code or text
MAX_SETTINGS_BYTES = 2**16  # of one further .yaml or .json file: larger ones are data
MAX_PATH_BYTES = 200  # of a file that a submission keeps
MAX_LISTED_CHARACTERS = 2_000  # of any path in an archive or repository
MAX_PARTS = 60
TEXT_SUFFIXES = (".py", ".md")
SETTINGS_SUFFIXES = (".yaml", ".yml", ".json")
README = re.compile(r"readme(\.(md|txt|rst))?", re.IGNORECASE)
RECORD = re.compile(r"seed\d+-[0-9a-f]{8}(\.attempt\d+)?\.json")  # of a run that the organiser did not make
# Folders that tools make. Those whose name begins with a dot (.git, .venv) are left out, too.
TOOLS_FOLDERS = ("__pycache__", "__MACOSX", "node_modules", "site-packages", "venv")
LISTED = 5  # names in a list of files left out


@dataclass(frozen=True)
class SourceEntry:
    """A file, or something else with a path, in a source."""

    path: str  # with slashes, relative to the source, see ``checked_path``
    kind: Kind
    size: int | None  # bytes; None if it is too large to have been fetched
    read: Callable[[], bytes] = field(default=bytes, repr=False)  # returns at most ``size`` bytes


@dataclass(frozen=True)
class Contents:
    """The entries of an opened source."""

    entries: list[SourceEntry]
    root_name: str  # name of a submission at the root
    commit: str | None = None  # of a repository


@dataclass(frozen=True)
class FoundSubmission:
    """A submission in a source."""

    folder: str  # path in the source, ``.`` for its root
    kept: dict[str, SourceEntry]  # path in the folder -> file that the submission needs
    left_out: dict[str, SourceEntry]


def checked_path(name: str) -> str:
    r"""Return the path of an archive's or repository's entry without ``.`` parts; ``""`` for its root.

    Backslashes count as slashes: archives that were made on Windows have them, and ``..\x`` is an attack.

    Raises:
        UsageError: If the path is absolute, has a ``..`` part, or is very long.
    """
    path = name.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise UsageError(f"its entry {one_line(name, 100)!r} has an absolute path; pack relative paths only")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"its entry {one_line(name, 100)!r} leads out of its folder; pack without `..`")
    if len(path) > MAX_LISTED_CHARACTERS or len(parts) > MAX_PARTS:
        raise UsageError(
            f"its entry {one_line(name, 100)!r} has a path of {len(path):,} characters in {len(parts):,} folders, "
            f"at most {MAX_LISTED_CHARACTERS:,} in {MAX_PARTS}; leave it out"
        )
    return "/".join(parts)


def check_entries(entries: Sequence[SourceEntry]) -> None:
    """Raise UsageError if two entries have one path: one could be checked, and the other one used."""
    seen: set[str] = set()
    for entry in entries:
        if entry.path in seen:
            raise UsageError(f"its entry {one_line(entry.path, 100)!r} is there twice; pack each file once")
        seen.add(entry.path)


def too_many_entries(what: str = "entries") -> UsageError:
    """Return the error for a source with more than ``MAX_ENTRIES`` entries."""
    return UsageError(
        f"over {MAX_ENTRIES:,} {what}; a submission needs a few files: leave out data sets and environments"
    )


def find_submissions(entries: Sequence[SourceEntry]) -> list[FoundSubmission]:
    """Find the folders with a submission.yaml, or if there are none, those with a model.py.

    A submission inside another submission's folder (a backup) is part of what is left out.

    Raises:
        UsageError: If there are none, or too many.
    """
    folders: set[PurePosixPath] = set()
    for name in (MANIFEST, MODEL):
        paths = [PurePosixPath(entry.path) for entry in entries]
        folders = folders or {path.parent for path in paths if path.name == name and not _of_a_tool(path)}
    outermost = {folder for folder in folders if not folders.intersection(folder.parents)}
    if not outermost:
        raise UsageError(f"no {MANIFEST} and no {MODEL} in it; a submission is a folder with these two files")
    if len(outermost) > MAX_SUBMISSIONS:
        raise UsageError(f"{len(outermost):,} submissions, at most {MAX_SUBMISSIONS}; split it")
    kept: dict[PurePosixPath, dict[str, SourceEntry]] = {folder: {} for folder in outermost}
    left_out: dict[PurePosixPath, dict[str, SourceEntry]] = {folder: {} for folder in outermost}
    for entry in entries:
        path = PurePosixPath(entry.path)
        for folder in outermost.intersection(path.parents):
            inner = path.relative_to(folder)
            if str(inner) == COLLECTED:  # of an earlier collection
                continue
            nested = any(folder in parent.parents for parent in folders.intersection(path.parents))
            is_kept = not nested and _is_needed(inner, entry)
            (kept if is_kept else left_out)[folder][inner.as_posix()] = entry
    return [FoundSubmission(str(folder), kept[folder], left_out[folder]) for folder in sorted(outermost)]


def outside(entries: Iterable[SourceEntry], found: Sequence[FoundSubmission]) -> dict[str, SourceEntry]:
    """Return the entries that belong to no submission."""
    folders = {PurePosixPath(one.folder) for one in found}
    return {entry.path: entry for entry in entries if not folders.intersection(PurePosixPath(entry.path).parents)}


def _of_a_tool(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in TOOLS_FOLDERS for part in path.parts)


def is_tools_folder(name: str) -> bool:
    """Return whether a folder of this name is never searched."""
    return _of_a_tool(PurePosixPath(name))


def _is_needed(path: PurePosixPath, entry: SourceEntry) -> bool:
    """Return whether a submission needs the file at ``path`` in its folder."""
    text = str(path)
    if entry.kind != "file" or entry.size is None or _of_a_tool(path):
        return False
    try:
        if not text.isprintable() or len(text.encode()) > MAX_PATH_BYTES:
            return False
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    if path.suffix in TEXT_SUFFIXES or text == MANIFEST or README.fullmatch(path.name):
        return entry.size <= MAX_TEXT_BYTES
    if RECORD.fullmatch(path.name):
        return False
    return path.suffix in SETTINGS_SUFFIXES and entry.size <= MAX_SETTINGS_BYTES


def read_files(found: FoundSubmission) -> dict[str, bytes]:
    """Read the files that a submission needs: path in its folder -> content.

    Raises:
        UsageError: If submission.yaml or model.py is missing, a link or too large, or there are too many files.
    """
    for name in (MANIFEST, MODEL):
        if name not in found.kept:
            raise UsageError(_why_missing(name, found.left_out.get(name)))
    if len(found.kept) > MAX_FILES:
        raise UsageError(f"{len(found.kept):,} files of code and text, at most {MAX_FILES}; hand in fewer")
    size = sum(entry.size or 0 for entry in found.kept.values())
    if size > MAX_SUBMISSION_BYTES:
        raise UsageError(f"{size:,} bytes of code and text, at most {MAX_SUBMISSION_BYTES:,}; hand in less")
    return {path: entry.read() for path, entry in sorted(found.kept.items())}


def _why_missing(name: str, entry: SourceEntry | None) -> str:
    if entry is None:
        return f"no {name}; a submission consists of {MANIFEST} and {MODEL}"
    if entry.kind != "file":
        return f"{name} is a {entry.kind}; hand in a regular file"
    size = "too many" if entry.size is None else f"{entry.size:,}"
    return f"{name}: {size} bytes, at most {MAX_TEXT_BYTES:,}; code and settings need a few thousand"


def read_exactly(read: Callable[[int], bytes], size: int, name: str) -> bytes:
    """Read ``size`` bytes, and one more to see that the source has told the truth.

    Raises:
        UsageError: If there are fewer or more.
    """
    content = read(size + 1)
    if len(content) != size:
        found = "more" if len(content) > size else f"only {len(content):,}"
        raise UsageError(
            f"{one_line(name, 100)}: announced with {size:,} bytes, but it has {found}; pack it again"
        )
    return content


def names_of(left_out: dict[str, SourceEntry]) -> str:
    """List what was left out: path -> entry; a tool's folder counts as one."""
    groups: dict[str, list[SourceEntry]] = {}
    for path, entry in left_out.items():
        parts = PurePosixPath(path).parts
        first = next((i for i, part in enumerate(parts[:-1], 1) if is_tools_folder(part)), None)
        groups.setdefault(path if first is None else "/".join(parts[:first]) + "/", []).append(entry)
    names = [f"{one_line(path, 60)}{_described(path, entries)}" for path, entries in list(groups.items())[:LISTED]]
    more = len(groups) - LISTED
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _described(path: str, entries: list[SourceEntry]) -> str:
    if path.endswith("/") or len(entries) > 1:
        return f" ({len(entries):,} files)"
    (entry,) = entries
    if entry.kind == "folder":
        return "/"
    if entry.kind != "file":
        return f" ({entry.kind})"
    return " (too large)" if entry.size is None else f" ({entry.size:,} bytes)"
