"""git, asked about the repository that a folder is in, whatever the command was started from."""

import os
import subprocess
from pathlib import Path

from bench.text import one_line

SECONDS = 60
# By these a hook, or `git rebase --exec`, points every git that it starts at a repository of its own.
POINTING = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
    "GIT_CEILING_DIRECTORIES",
)  # fmt: skip


class GitFailed(Exception):
    """git could not answer; the message says why, in one line."""


def git(folder: Path, *arguments: str) -> bytes:
    """What ``git -C folder arguments`` prints.

    Raises:
        GitFailed: If it ends with an error, is not there, or does not trust the folder.
    """
    variables = {name: value for name, value in os.environ.items() if name not in POINTING}
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=SECONDS, env=variables).stdout
    except FileNotFoundError:
        raise GitFailed("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git took over {SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace")
        if "dubious ownership" in said:
            trust = f"git config --global --add safe.directory {folder}"
            raise GitFailed(f"git does not trust {folder}, which is another user's: {trust}") from None
        first = said.strip().splitlines() or [f"git ended with {error.returncode}"]
        raise GitFailed(one_line(first[0].removeprefix("fatal: "), 200)) from None
    except OSError as error:
        raise GitFailed(f"git cannot be started ({error.strerror})") from None
