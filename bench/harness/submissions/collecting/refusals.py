"""The report of refused uploads, which is published: without paths of this machine and without credentials."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from bench.contract.collected import Refusal, printable, read_refused, write_refused
from bench.errors import UsageError
from bench.harness.submissions.collecting.sources import Request, Source
from bench.text import one_line

MAX_UPLOAD_CHARACTERS, MAX_REASON_CHARACTERS = 150, 600
USER = re.compile(r"(?!\bgit@)[^\s/@'\"`]+@(?=[\w\[])")  # before a host: a name, a password or a token
QUERY = re.compile(r"(?<=[\w/])\?[^\s'\"`]*")  # of an address
# Folders before a name: absolute, below a home folder, or up from the current one.
FOLDERS = re.compile(r"(?<![\w.:/~])(?:file://|~[\w.-]*|\.\.(?=/))?/(?:[^\s/'\"`,;:()]+/)*(?=[^\s/])")


class Refusals:
    """What one command refuses, and the report beside the submissions that it continues."""

    def __init__(self, into: Path) -> None:
        self.into = into
        self._attempts: list[tuple[str | None, str]] = []  # team and upload of everything that was tried
        self._refused: list[Refusal] = []

    def attempt(self, request: Request, source: Source | None) -> None:
        """Note that an upload is read: earlier refusals of it, or of its team, are no longer reported."""
        self._attempts.append((request.team, upload_name(request, source)))

    def refuse(self, request: Request, source: Source | None, folder: str, reason: str) -> None:
        """Add an upload, or the submission in one of its folders, to the report."""
        upload = upload_name(request, source)
        shown = upload if folder == "." else f"{upload}/{folder}"
        self._refused.append(
            Refusal(
                upload=printable(shown, MAX_UPLOAD_CHARACTERS),
                team=request.team,
                date=datetime.now(UTC).isoformat(timespec="seconds"),
                reason=printable(_public(reason, request, source, self.into, upload), MAX_REASON_CHARACTERS),
            )
        )

    def write(self) -> None:
        """Continue the report: drop what was tried again, and add what was refused.

        Raises:
            ManifestError: If the report of earlier commands cannot be read.
            UsageError: If it cannot be written.
        """
        earlier = [
            refusal
            for refusal in read_refused(self.into)
            if not any(refusal.is_superseded_by(team, upload) for team, upload in self._attempts)
        ]
        try:
            write_refused(self.into, [*earlier, *self._refused])
        except OSError as error:
            raise UsageError(f"--into {self.into}: the report cannot be written ({error.strerror})") from None


def upload_name(request: Request, source: Source | None) -> str:
    """Return what an upload is called in public.

    A file or folder is named from the folder that was given on, a repository by the end of its address.
    """
    text = request.text.strip()
    if source is None or "://" in source.address or "@" in source.address:
        address = text.partition("?")[0].partition("#")[0].rstrip("/").removesuffix(".git")
        parts = [part for part in re.split(r"[/:]", address) if part and "@" not in part]
        is_remote = "@" in address or ("://" in address and not address.startswith("file:"))
        name = "/".join(parts[-2 if is_remote else -1 :])
    else:
        given, path = _absolute(request.base / text), _absolute(source.path)
        name = str(given.name / path.relative_to(given)) if path.is_relative_to(given) else path.name
    return one_line(name, MAX_UPLOAD_CHARACTERS) or "(no name)"


def _public(text: str, request: Request, source: Source | None, into: Path, upload: str) -> str:
    """Return a message without this machine's folders and without what may be a password."""
    target = _absolute(into)
    known = {str(into): target.name, str(target): target.name, request.text.strip(): upload}
    known |= {f"{request.base}/": "", f"{_absolute(request.base)}/": ""}
    if source is not None:
        known |= dict.fromkeys((source.address, source.shown, source.recorded), upload)
        known |= {f"{_absolute(source.path).parent}/": ""}
    for found in sorted(known, key=len, reverse=True):
        if "/" in found.strip("./"):  # a bare name says nothing of the machine, and may occur in other words
            text = text.replace(found, known[found])
    return FOLDERS.sub("", QUERY.sub("", USER.sub("", text)))


def _absolute(path: Path) -> Path:
    """Return the absolute path without ``..``, without reading links."""
    return Path(os.path.normpath(path.absolute()))
