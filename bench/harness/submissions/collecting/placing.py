"""Placing of collected submissions: checked aside, compared with what is there, and renamed into place."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.contract.collected import COLLECTED, Origin, hash_files, read_origin
from bench.contract.contest import find_contest
from bench.contract.fingerprint import hash_code, sources_of
from bench.contract.manifest import load_manifest
from bench.contract.tracks import load_tracks, track_of
from bench.errors import BenchError, UsageError
from bench.files import write_bytes
from bench.harness.submissions.collecting.contents import find_submissions, read_files
from bench.harness.submissions.collecting.folders import open_folder
from bench.harness.submissions.collecting.refusals import Refusals
from bench.harness.submissions.discovery import MANIFEST, MODEL

Placed = Literal["collected", "unchanged", "replaced"]


@dataclass(frozen=True)
class Taken:
    """A name that this command has given to a submission."""

    label: str  # of its source
    sha256: str  # over its files
    code: str  # hash of model.py, without comments


class Collection:
    """The folder that submissions are collected into.

    With ``dry_run`` nothing is written there; everything else is done, checks included.
    """

    def __init__(self, into: Path, work: Path, *, replace: bool, dry_run: bool) -> None:
        self.into = into
        self.work = work
        self.replace = replace
        self.dry_run = dry_run
        self.refusals = Refusals(into)
        self.taken: dict[str, Taken] = {}  # name -> what this command placed under it, or found unchanged

    def place(self, name: str, files: Mapping[str, bytes], origin: Origin, label: str) -> Placed:
        """Write a submission, or find that it is there already.

        Raises:
            BenchError: If it is no valid submission, or the name belongs to another one.
            OSError: If it cannot be written.
        """
        staged = self._stage(name, files, origin)
        code = _check(staged)
        earlier = self.taken.get(name)
        if earlier is not None and earlier.sha256 != origin.sha256:
            raise UsageError(
                f"the name {name} was taken by {earlier.label} in this command; give one of them another "
                "`name` in a --list"
            )
        placed: Placed = "unchanged"
        if earlier is None:
            placed = self._compare(name, origin)
            if placed == "unchanged":
                label = self._other_origin(name, origin) or label
            if placed != "unchanged" and not self.dry_run:
                self._rename(staged, self.into / name)
            self.taken[name] = Taken(label, origin.sha256, code)
        return placed

    def _stage(self, name: str, files: Mapping[str, bytes], origin: Origin) -> Path:
        """Write a submission to the temporary folder."""
        staged = Path(tempfile.mkdtemp(dir=self.work)) / name
        try:
            for path, content in files.items():
                write_bytes(staged / path, content)
            write_bytes(staged / COLLECTED, origin.to_yaml().encode())
        except OSError as error:  # a full disk, or a file and a folder of one name
            raise UsageError(f"its files cannot be written ({error.strerror})") from None
        return staged

    def _compare(self, name: str, origin: Origin) -> Placed:
        """Compare with the folder of that name. Return what is to be done.

        Raises:
            UsageError: If the folder belongs to another submission, or is a newer version without ``--replace``.
        """
        target = self.into / name
        if not os.path.lexists(target):
            return "collected"
        existing, found = read_origin(target), _hash_of_folder(target)
        if found == origin.sha256:
            return "unchanged"
        if existing is None:
            raise UsageError(
                f"{target} exists already and was not collected; give another `name` in a --list, or move it away"
            )
        where = str(existing)
        if not existing.is_of_same_team(origin):
            raise UsageError(
                f"{target} exists already, from {where}; give another `name` in a --list, "
                "or move it away if this one takes its place"
            )
        if not self.replace:
            raise UsageError(f"{target} exists already, another version from {where}; --replace replaces it")
        if found != existing.sha256:
            raise UsageError(f"{target} was changed here after it was collected; move it away to replace it")
        return "replaced"

    def _other_origin(self, name: str, origin: Origin) -> str | None:
        """Return where an unchanged submission came from, if that is another team or source."""
        existing = read_origin(self.into / name)
        return None if existing is None or existing.is_of_same_team(origin) else str(existing)

    def _rename(self, staged: Path, target: Path) -> None:
        """Rename a staged submission into place; if that fails, the former one is put back."""
        former = staged.parent / "former"
        if os.path.lexists(target):
            target.rename(former)
        try:
            # Fails if another command has just written there: a folder with files is never replaced by a rename.
            staged.rename(target)
        except OSError:
            if former.exists():
                with contextlib.suppress(OSError):
                    former.rename(target)
            raise

    def same_code(self) -> list[list[str]]:
        """Return groups of names with the same model.py except for comments, at least one from this command."""
        names: dict[str, list[str]] = {}
        for name, taken in self.taken.items():
            names.setdefault(taken.code, []).append(name)
        for path in sorted(self.into.glob(f"*/{MODEL}")):
            if path.parent.name not in self.taken:
                with contextlib.suppress(BenchError, OSError, MemoryError):
                    if (code := hash_code(path)) in names:
                        names[code].append(path.parent.name)
        return [sorted(group) for group in names.values() if len(group) > 1]

    def origin_of(self, name: str) -> str:
        """Return where a submission came from, for messages."""
        if name in self.taken:
            return self.taken[name].label
        existing = read_origin(self.into / name)
        return "not collected" if existing is None else str(existing)


def _check(staged: Path) -> str:
    """Check what can be checked without running code. Return the hash of model.py.

    In a contest's repository the track must be one of the contest. Elsewhere it may be in a file that this command
    does not know; then ``bench verify`` checks it.

    Raises:
        UsageError: If submission.yaml or model.py cannot be read, or the contest has no such track.
    """
    try:
        manifest = load_manifest(staged / MANIFEST)
        if find_contest() is not None:
            track_of(manifest.track, load_tracks(), staged / MANIFEST)
        return sources_of(staged / MODEL)[MODEL]
    except BenchError as error:
        raise UsageError(str(error).replace(f"{staged}{os.sep}", "")) from None
    except MemoryError:  # raised by Python's parser for deeply nested code
        raise UsageError(f"{MODEL}: not valid Python (nested too deeply)") from None


def _hash_of_folder(folder: Path) -> str | None:
    """Return the hash over the files of a submission here; None if it is none."""
    try:
        (found,) = find_submissions(open_folder(folder).entries)
        return hash_files(read_files(found)) if found.folder == "." else None
    except (BenchError, OSError, ValueError):
        return None


@contextmanager
def opened_collection(into: Path, *, replace: bool, dry_run: bool) -> Iterator[Collection]:
    """Open the folder that submissions are collected into; create it unless nothing is to be written.

    Raises:
        UsageError: If it is no folder or cannot be written.
    """
    try:
        if into.exists() and not into.is_dir():
            raise UsageError(f"--into {into}: not a folder; choose another")
        if not dry_run:
            into.mkdir(parents=True, exist_ok=True)
        # In the same file system, so that renaming is atomic. Its submissions are one level too deep to be found.
        work = Path(tempfile.mkdtemp(prefix=".collect-", dir=None if dry_run else into))
    except OSError as error:
        raise UsageError(f"--into {into}: cannot be written ({error.strerror}); choose another") from None
    try:
        yield Collection(into, work, replace=replace, dry_run=dry_run)
    finally:
        shutil.rmtree(work, ignore_errors=True)
