"""Queries to git about the repository that contains a folder, also when run from inside a git hook."""

import os
import subprocess
from pathlib import Path

from bench.text import one_line

TIMEOUT_SECONDS = 60
# git sets these variables for hooks and for `git rebase --exec`; they redirect every nested git command to the
# repository of the outer one.
REPOSITORY_VARIABLES = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
    "GIT_CEILING_DIRECTORIES",
)  # fmt: skip


class GitFailed(Exception):
    """A git command failed; the message gives the reason in one line."""


def git(folder: Path, *arguments: str) -> bytes:
    """Return the standard output of ``git -C folder arguments``.

    Raises:
        GitFailed: If git is not installed, does not trust the folder, times out or exits with an error.
    """
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command, check=True, capture_output=True, timeout=TIMEOUT_SECONDS, env=variables_of_git()
        ).stdout
    except FileNotFoundError:
        raise GitFailed("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git took longer than {TIMEOUT_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode("utf-8", "replace")
        raise GitFailed(reason_of(message, error.returncode, folder)) from None
    except OSError as error:
        raise GitFailed(f"git cannot be started ({error.strerror})") from None


def variables_of_git() -> dict[str, str]:
    """Return this process's environment without the variables that a git hook sets."""
    return {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}


def reason_of(message: str, exit_code: int, folder: Path | str) -> str:
    """Return the reason why git failed, in one line.

    Args:
        message: Its standard error.
        exit_code: Its exit code, the reason if it printed none.
        folder: The repository, for the remedy if it belongs to another user.
    """
    if "dubious ownership" in message:
        remedy = f"git config --global --add safe.directory {folder}"
        return f"git does not trust {folder}, which belongs to another user; run {remedy}"
    lines = [line for line in message.strip().splitlines() if not line.startswith("warning: ")]
    first = (lines or [f"git exited with {exit_code}"])[0]
    return one_line(first.removeprefix("fatal: "), 200)
