"""Submissions in git repositories. One commit is fetched into a temporary bare repository and read from there.

Nothing is checked out, so that no hook, filter, link or submodule of the repository has an effect. git has
limits of time and bytes, uses https, ssh and local folders only, and never asks for a password.
"""

import contextlib
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.errors import UsageError
from bench.git import GitFailed, reason_of, variables_of_git
from bench.harness.submissions.collecting.contents import (
    MAX_ENTRIES,
    MAX_TEXT_BYTES,
    Contents,
    Kind,
    SourceEntry,
    checked_path,
    read_exactly,
    too_many_entries,
)
from bench.text import one_line

FETCH_SECONDS = 120
READ_SECONDS = 30
POLL_SECONDS = 0.05
MAX_FETCHED_BYTES = 2**28  # without history and, where the server can, without large files
MAX_LISTING_BYTES = 2**22  # a tree of a few objects can list billions of paths
MAX_MEMORY_BYTES = 2**31
COMMIT = re.compile(r"[0-9a-f]{7,64}")
# A name of a branch or tag, or a commit; not an option, a refspec, a range or an expression.
REF = re.compile(r"(?!-)(?!.*\.\.)(?!.*@\{)[^\s~^:?*\[\\+\x00-\x20\x7f]{1,200}")
SETTINGS = (
    "core.hooksPath=/dev/null", "core.askPass=", "core.fsmonitor=false", "core.bigFileThreshold=1m", "gc.auto=0",
    "maintenance.auto=false", "fetch.unpackLimit=1", "fetch.recurseSubmodules=false",
)  # fmt: skip
VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",  # no question for a name or password,
    "GCM_INTERACTIVE": "never",  # neither in a window
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_ALLOW_PROTOCOL": "https:ssh:file",  # `ext::` would run a command of the address
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
ASKING = ("GIT_ASKPASS", "SSH_ASKPASS")
KINDS: dict[str, Kind] = {"100644": "file", "100755": "file", "120000": "symbolic link", "160000": "submodule"}
ACCESS = ("terminal prompts disabled", "Authentication failed", "Permission denied", "not found", "Host key")


class _Listed(NamedTuple):
    mode: str
    object: str
    path: str


@contextmanager
def opened_repository(address: str, ref: str | None, name: str) -> Iterator[Contents]:
    """Fetch one commit of a repository and list it. Its files can be read within the context.

    Args:
        address: A URL, possibly with credentials, or a local path.
        ref: Branch, tag or commit; None for the default branch.
        name: Name of the repository, for a submission at its root.

    Raises:
        UsageError: If git is not installed, or the repository cannot be fetched within the limits. The message may
            contain the address.
    """
    if ref is not None and not REF.fullmatch(ref):
        raise UsageError(f"{ref!r} is no name of a branch or tag and no commit")
    with tempfile.TemporaryDirectory(prefix="bench-collect-") as folder:
        git = _Git(Path(folder), address)
        try:
            commit = _fetch(git, address, ref)
            yield Contents(_entries(git, commit), name, commit)
        except GitFailed as error:
            hint = "; the address is wrong, or this account has no access: see that `git ls-remote` works"
            raise UsageError(f"{error}{hint if any(word in str(error) for word in ACCESS) else ''}") from None


def _fetch(git: "_Git", address: str, ref: str | None) -> str:
    """Fetch a commit without history and return its hash."""
    git.run("init", "--quiet", "--bare", "--template=", ".")
    git.run("remote", "add", "origin", address)
    limit = ("--no-tags", "--no-recurse-submodules", f"--filter=blob:limit={MAX_TEXT_BYTES + 1}", "--quiet")
    try:
        git.run("fetch", "--depth=1", *limit, "origin", ref or "HEAD", seconds=FETCH_SECONDS)
        found = "FETCH_HEAD"
    except GitFailed:
        if ref is None or not COMMIT.fullmatch(ref):
            raise
        # A shortened commit, or a server that gives no single commits: it is in the history of a branch or tag.
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        git.run("fetch", *limit, "origin", *refs, seconds=FETCH_SECONDS)
        found = ref
    # Without these, git would fetch the large files one by one when it is asked about them.
    for setting in ("promisor", "partialclonefilter"):
        with contextlib.suppress(GitFailed):
            git.run("config", "--unset", f"remote.origin.{setting}")
    return git.run("rev-parse", "--verify", "--end-of-options", f"{found}^{{commit}}").decode().strip()


def _entries(git: "_Git", commit: str) -> list[SourceEntry]:
    listing = git.run("ls-tree", "-r", "-z", "--full-tree", commit, limit=MAX_LISTING_BYTES, what="its listing")
    listed = [_parsed(line) for line in listing.split(b"\0") if line]
    if len(listed) > MAX_ENTRIES:
        raise too_many_entries("files")
    objects = "".join(f"{one.object}\n" for one in listed)
    answers = git.run("cat-file", "--batch-check=%(objectsize)", given=objects.encode()).decode().splitlines()
    sizes = [int(answer) if answer.isdigit() else None for answer in answers]  # else: `... missing`
    return [_entry(git, one, size) for one, size in zip(listed, sizes, strict=True)]


def _parsed(line: bytes) -> _Listed:
    described, path = line.split(b"\t", 1)
    mode, _, name = described.decode().split()
    return _Listed(mode, name, checked_path(path.decode("utf-8", "surrogateescape")))


def _entry(git: "_Git", listed: _Listed, size: int | None) -> SourceEntry:
    def read() -> bytes:
        try:
            content = git.run("cat-file", "blob", listed.object)
        except GitFailed as error:
            raise UsageError(f"{one_line(listed.path, 100)}: {error}") from None
        return read_exactly(lambda limit: content[:limit], size or 0, listed.path)

    return SourceEntry(listed.path, KINDS.get(listed.mode, "special file"), size, read)


class _Git:
    """git in a temporary folder, with limits."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.variables = {
            name: value for name, value in variables_of_git().items() if name not in ASKING
        } | VARIABLES

    def run(
        self,
        *words: str,
        given: bytes = b"",
        seconds: float = READ_SECONDS,
        limit: int | None = None,
        what: str = "the repository",
    ) -> bytes:
        """Return git's standard output.

        Args:
            words: The command's name and arguments.
            given: Its standard input.
            seconds: Time after which it is ended.
            limit: Bytes that the folder may grow by, output included; None for ``MAX_FETCHED_BYTES``.
            what: What is too large then.

        Raises:
            GitFailed: If git is not installed, fails, or exceeds a limit.
        """
        (self.folder / "stdin").write_bytes(given)
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        with (
            (self.folder / "stdin").open("rb") as stdin,
            (self.folder / "stdout").open("wb") as stdout,
            (self.folder / "stderr").open("wb") as stderr,
        ):
            before = _bytes_below(self.folder)
            try:
                process = subprocess.Popen(
                    ["git", *settings, *words],
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=self.repository,
                    env=self.variables,
                    start_new_session=True,  # without a terminal, ssh cannot ask either
                )
            except FileNotFoundError:
                raise GitFailed("git is not installed; install it, or give a folder or an archive") from None
            except OSError as error:
                raise GitFailed(f"git cannot be started ({error.strerror})") from None
            try:
                _limit_memory(process.pid)
                self._wait(process, seconds, before + (limit or MAX_FETCHED_BYTES), what)
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if process.returncode != 0:
            message = (self.folder / "stderr").read_bytes()[: 2**16].decode("utf-8", "replace")
            raise GitFailed(reason_of(message, process.returncode, self.address))
        return (self.folder / "stdout").read_bytes()

    def _wait(self, process: subprocess.Popen[bytes], seconds: float, limit: int, what: str) -> None:
        until, ended = time.monotonic() + seconds, False
        while not ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
                ended = True
            if _bytes_below(self.folder) > limit:
                raise GitFailed(f"{what} is too large; hand in a small repository, without data and weights")
            if not ended and time.monotonic() > until:
                raise GitFailed(f"git took longer than {seconds:.0f} s; try again, or give an archive")


def _limit_memory(pid: int) -> None:
    """Limit the memory of git, which reads packed objects of any size (Linux)."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError, ValueError):  # it has ended, or its own limit is lower
            resource.prlimit(pid, resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _bytes_below(folder: Path) -> int:
    size = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # git renames its temporary files
                size += (Path(path) / name).lstat().st_size
    return size
