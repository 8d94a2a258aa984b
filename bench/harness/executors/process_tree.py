"""Process trees: start a phase's first process, and kill it together with all its descendants."""

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

from bench.harness.executors.sandbox import PROGRAM

# The module that a phase's first process runs. The command line of a sandbox around the process contains it too.
MODULE = "bench.job.main"
# The first process of every running phase. The lock `_starting` keeps a new process, which is not in this set yet,
# from being killed as a stray.
_running: set[int] = set()
_starting = threading.Lock()


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants (Linux), so that they can be found and killed."""
    if sys.platform == "linux":
        pr_set_child_subreaper = 36
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1)


def count_running_phases() -> int:
    """Count the phases that run on this machine now, of any command."""
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return sum(MODULE in command and not command[0].endswith(PROGRAM) for command in commands)


def start_process_tree(
    command: Sequence[str], log: IO[bytes], variables: Mapping[str, str], inherited_fd: int
) -> subprocess.Popen[bytes]:
    """Start a process in a new session and process group.

    Args:
        command: Program and arguments.
        log: File that receives its stdout and stderr.
        variables: Its complete environment.
        inherited_fd: A file descriptor that it inherits.
    """
    with _starting:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables,
            pass_fds=(inherited_fd,),
            start_new_session=True,
        )
        _running.add(process.pid)
    return process


def end_process_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kill a phase's process tree: its process group, and descendants that left the group.

    In a sandbox, all processes are in one PID namespace, which ends with its first process. Without one, a process
    that left the group and lost its parent has become a child of this process (``adopt_orphans``).
    """
    descendants = _descendants(process.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with _starting:
        for member in (*descendants, *_strays()):
            with contextlib.suppress(psutil.Error):
                member.kill()
                member.wait(0.2)
        process.wait()
        _running.discard(process.pid)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _strays() -> list[psutil.Process]:
    """Find processes that a phase left behind: children of this process, in another session, not started by it."""
    session = os.getsid(0)
    strays = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children():
            with contextlib.suppress(OSError):
                if child.pid not in _running and os.getsid(child.pid) != session:
                    strays += [child, *_descendants(child.pid)]
    return strays
