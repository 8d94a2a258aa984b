"""Fast phases: each is forked from a process that has already imported torch.

Starting Python, torch and its compiler takes three CPU seconds, three times per run. Tests of planning,
recording, tables and command lines fork their phases instead. A forked phase is still a separate process and
process group, with its own log, pipe, limits and exit code, but has no sandbox. Tests of the sandbox, of signals
to a whole command and of clusters start real processes (``tests.making.bench_process``).
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import IO
from unittest import mock

from bench.contract.jobs.files import EVENTS_FD, PARENT_PID
from bench.harness.executors import local, sandbox
from bench.harness.executors import process_tree as tree
from bench.job.main import PHASES

# The imports of all phases; and pytest, because a child process imports the main module.
PRELOADED = ["bench.job.main", *{module for module, _ in PHASES.values()}, "torch._dynamo", "pytest"]


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run_phase(arguments: Sequence[str], log: str, variables: Mapping[str, str], events: Connection) -> None:
    """Set up the forked process like one from ``start_process_tree``, then run the phase."""
    os.setsid()
    log_file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log_file, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    os.environ.clear()
    os.environ.update(variables)
    os.environ[EVENTS_FD] = str(events.fileno())
    del os.environ[PARENT_PID]  # the parent is the fork server, not the command
    sys.argv = list(arguments)
    from bench.job.main import main

    sys.exit(main())


class WarmProcess:
    """A forked phase with the part of ``Popen``'s interface that ``LocalExecutor`` uses."""

    def __init__(self, process: "multiprocessing.context.ForkServerProcess") -> None:
        assert process.pid is not None
        self._process, self.pid = process, process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked phase", timeout or 0)
        return self._process.exitcode


def start_warm(command: Sequence[str], log: IO[bytes], variables: Mapping[str, str], passed: int) -> WarmProcess:
    """Replace ``start_process_tree``; ``command`` is an interpreter that runs ``bench.job.main``."""
    arguments = command[command.index("bench.job.main") :]
    events = Connection(os.dup(passed), readable=False)
    process = _context().Process(target=_run_phase, args=(arguments, log.name, dict(variables), events))
    with tree._starting:
        process.start()
        assert process.pid is not None
        tree._running.add(process.pid)
    events.close()
    return WarmProcess(process)


@contextmanager
def warm_phases() -> Iterator[None]:
    """Return a context manager in which phases are forked and no sandbox is available."""
    no_sandbox = mock.patch.object(sandbox, "why_unusable", lambda devices=False: "forked phases have no sandbox")
    with no_sandbox, mock.patch.object(local, "start_process_tree", start_warm):
        yield
