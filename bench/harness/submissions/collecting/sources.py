"""The sources that a command or a list names: folders, archives, and git repositories with an optional #REF."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from bench.errors import UsageError
from bench.files import without_local_paths
from bench.harness.submissions.collecting.archives import SUFFIXES, is_archive, opened_archive
from bench.harness.submissions.collecting.contents import Contents
from bench.harness.submissions.collecting.folders import open_folder
from bench.harness.submissions.collecting.repositories import opened_repository
from bench.text import one_line

SCHEMES = ("https", "ssh", "file")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
HELPER = re.compile(r"[A-Za-z0-9]+::")  # `ext::command` would run a command
SCP = re.compile(
    r"(?P<user>\w[\w.-]*)@(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<path>[^\s]+)"
)  # git@host:group/name.git
FORMS = f"a folder, an archive ({SUFFIXES}) or a git address (https://, ssh://, file://, git@host:path)"


@dataclass(frozen=True)
class Request:
    """A source as it is named, with the further columns of a list."""

    text: str = field(repr=False)  # may contain a password
    ref: str | None = None
    team: str | None = None
    name: str | None = None
    base: Path = Path()  # folder of the list, in which relative paths start


@dataclass(frozen=True)
class Source:
    """A folder, archive or repository that exists or has a valid address."""

    kind: Literal["folder", "archive", "repository"]
    address: str = field(repr=False)  # path, or URL with credentials
    shown: str  # the address without credentials
    recorded: str  # the same, without this machine's folders
    ref: str | None = None

    @property
    def label(self) -> str:
        """The source as messages name it."""
        return one_line(self.shown if self.ref is None else f"{self.shown}#{self.ref}", 300)

    @property
    def path(self) -> Path:
        """The path of a source that is not remote."""
        return Path(self.address)

    @contextmanager
    def opened(self) -> Iterator[Contents]:
        """Open and list the source.

        Raises:
            UsageError: If it cannot be read within the limits.
            OSError: If it cannot be read.
        """
        if self.kind == "folder":
            yield open_folder(self.path)
        elif self.kind == "archive":
            with opened_archive(self.path) as contents:
                yield contents
        else:
            with opened_repository(self.address, self.ref, _repository_name(self.address)) as contents:
                yield contents

    def without_credentials(self, text: str) -> str:
        """Replace the address in an error message of git, which may repeat it."""
        text = text.replace(self.address, self.shown)
        query = urlsplit(self.address).query  # which may have a token
        text = text.replace(f"?{query}", "") if query and self.kind == "repository" else text
        credentials, separator, _ = urlsplit(self.address).netloc.rpartition("@")
        if not separator or self.kind != "repository":
            return text
        text = text.replace(f"{credentials}@", "")
        _, colon, password = credentials.partition(":")
        return text.replace(password, "***") if colon and password else text


def label_of_request(request: Request) -> str:
    """Return a request's source for messages, without credentials."""
    try:
        return one_line(_without_credentials(request.text), 300)
    except ValueError:
        return "(an address that cannot be read)"


def parse_source(request: Request) -> Source:
    """Find out what a source is.

    Raises:
        UsageError: If it does not exist, is of no known form, or has a REF but no commits.
    """
    text = request.text.strip()
    if not text or not text.isprintable():
        raise UsageError(f"no source, or unprintable characters in it; give {FORMS}")
    if HELPER.match(text):
        raise UsageError(f"an address that would run a helper of git; give {FORMS}")
    is_url = SCHEME.match(text) is not None
    ref = request.ref
    if "#" in text and (is_url or not (request.base / text).exists()):
        text, _, ref = text.rpartition("#")
        if not ref or (request.ref is not None and request.ref != ref):
            raise UsageError(f"`#{ref}` after the address, and `ref` {request.ref or 'empty'}; give one version")
    if is_url:
        return _from_url(text, ref)
    path = request.base / text
    if (match := SCP.fullmatch(text)) is not None and not path.exists():
        if match["host"].startswith("-") or match["path"].startswith("-"):
            raise UsageError("a host or path that begins with `-`; copy the address from the repository's page")
        return Source("repository", text, text, text, ref)
    return local_source(path, ref)


def _from_url(url: str, ref: str | None) -> Source:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise UsageError(f"no valid address ({error}); give {FORMS}") from None
    if parts.scheme not in SCHEMES:
        raise UsageError(f"{parts.scheme}:// is not read, because nobody checks who answers; give {FORMS}")
    if (not host and parts.scheme != "file") or host.startswith("-") or " " in url:
        raise UsageError(f"no valid address; give {FORMS}")
    if is_archive(parts.path):
        raise UsageError("an archive is not downloaded; download it, and give the file")
    if parts.scheme == "file":
        return Source("repository", url, url, without_local_paths(url), ref)
    shown = _without_credentials(url)
    return Source("repository", url, shown, shown, ref)


def _without_credentials(text: str) -> str:
    """Return an address without password, token and query; of ssh, with the user's name, which is no secret."""
    if not SCHEME.match(text):
        return text
    parts = urlsplit(text)
    credentials, _, host = parts.netloc.rpartition("@")
    user = credentials.split(":")[0]
    netloc = f"{user}@{host}" if parts.scheme == "ssh" and user else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", parts.fragment))


def local_source(path: Path, ref: str | None = None, *, as_repository: bool = True) -> Source:
    """Return the source at a path.

    Args:
        path: A folder or file.
        ref: Branch, tag or commit.
        as_repository: Whether a folder that is a git repository is read at its commit. Those inside a given folder
            are not: git would read the settings of a repository that somebody else has packed.

    Raises:
        UsageError: If there is no such file, it is no archive, or no repository has the REF.
    """
    shown, recorded = str(path), without_local_paths(str(path.resolve()))
    if path.is_dir():
        if as_repository and _is_repository(path):
            return Source("repository", str(path.resolve()), shown, recorded, ref)
        if ref is not None:
            raise UsageError(f"#{ref}: the folder is no git repository; give it without a version")
        return Source("folder", str(path), shown, recorded)
    if not path.exists():
        raise UsageError(f"no such file or folder; give {FORMS}")
    if not path.is_file() or not is_archive(path.name):
        raise UsageError(f"neither a folder nor an archive that is read here; give {FORMS}")
    if ref is not None:
        raise UsageError(f"#{ref}: an archive has one version; give it without a version")
    return Source("archive", str(path), shown, recorded)


def _is_repository(folder: Path) -> bool:
    """Return whether git would find a repository here: with its files, or a bare one."""
    return any(
        (git / "HEAD").is_file() and (git / "objects").is_dir() and (git / "refs").is_dir()
        for git in (folder / ".git", folder)
    )


def _repository_name(address: str) -> str:
    return re.split(r"[/:]", address.rstrip("/").removesuffix("/.git").removesuffix(".git"))[-1]
