"""Starting a phase's first process, and ending it with whatever it has started meanwhile."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

import psutil

from bench.run.executors.sandbox import PROGRAM

MODULE = "bench.job.main"  # what a phase's first process runs; a sandbox around it has that in its own command too
# The first process of every phase that runs now. Nobody looks for strays while one is being started, for it would
# be taken for one.
_running: set[int] = set()
_starting = threading.Lock()


def adopt_orphans() -> None:
    """Have processes whose parent ended become this process's children (Linux), so that they can be found."""
    if sys.platform == "linux":
        pr_set_child_subreaper = 36
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1)


def phases_at_work() -> int:
    """How many phases run on this machine now, of whatever command."""
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return sum(MODULE in command and not command[0].endswith(PROGRAM) for command in commands)


def start_tree(
    command: Sequence[str], log: IO[bytes], variables: Mapping[str, str], passed: int
) -> subprocess.Popen[bytes]:
    """Start a process in a session and group of its own.

    Args:
        command: Program and arguments.
        log: Where all that it prints goes.
        variables: Its whole environment.
        passed: A file descriptor that it is given.
    """
    with _starting:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables,
            pass_fds=(passed,),
            start_new_session=True,
        )
        _running.add(process.pid)
    return process


def end_tree(process: "subprocess.Popen[bytes]") -> None:
    """End a phase and whatever it started: its group, and what left the group but not the family.

    In a sandbox all of it is in one namespace, which ends with its first process. Elsewhere a process that left
    its group, and whose parent has ended, is this process's child (``adopt_orphans``).
    """
    family = _children(process.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with _starting:
        for member in (*family, *_strays()):
            with contextlib.suppress(psutil.Error):
                member.kill()
                member.wait(0.2)
        process.wait()
        _running.discard(process.pid)


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _strays() -> list[psutil.Process]:
    """Children of this process, in sessions of their own, that it has not started: left behind by a phase."""
    own = os.getsid(0)
    strays = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children():
            with contextlib.suppress(OSError):
                if child.pid not in _running and os.getsid(child.pid) != own:
                    strays += [child, *_children(child.pid)]
    return strays
