"""Processes on this machine: one a phase, in a process group of its own, heard through a pipe of the harness's."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from bench.contract.jobs import (
    EVENTS_FD,
    FAILURE,
    PARENT_PID,
    REPORT,
    SPEC,
    Failure,
    JobSpec,
    Phase,
    Progress,
    read_report,
)
from bench.errors import RunFailed
from bench.files import without_local_paths, write_bytes

LOG = "log.txt"
POLL_SECONDS = 0.2

OnProgress = Callable[[Progress], None]


class Stopped(Exception):
    """The user asked to stop; the phase was killed and its checkpoint is kept."""


def run_phase(spec: JobSpec, phase: Phase, on_progress: OnProgress, stop: threading.Event) -> Failure | None:
    """Run one phase of a job to its end; None when it left its report, else why it did not.

    A phase whose report is there already (from before an interruption) is not run again.

    Raises:
        Stopped: If ``stop`` was set meanwhile.
    """
    if (spec.work / REPORT[phase]).exists():
        return None
    write_bytes(spec.work / SPEC, spec.model_dump_json(indent=1).encode())
    (spec.work / FAILURE).unlink(missing_ok=True)
    reader, writer = os.pipe()
    with (spec.work / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.job.main", phase, str(spec.work)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment(spec.threads), EVENTS_FD: str(writer)},
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    try:
        for event in _events(reader, process, stop):
            on_progress(event)
    finally:
        _kill_group(process)
    if stop.is_set():
        raise Stopped
    return _outcome(spec, phase, process.returncode)


def environment(threads: int) -> dict[str, str]:
    """The child's environment: threads stated, and large blocks kept by the C library.

    Left alone, each process starts a thread a core, and two of them beside each other run many times slower,
    because their barriers spin. Returning large blocks to the system after each step costs a tenth to a
    quarter of a step in page faults.
    """
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "17179869184",
        "MALLOC_TOP_PAD_": "268435456",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        PARENT_PID: str(os.getpid()),
    }


def _events(reader: int, process: subprocess.Popen[bytes], stop: threading.Event) -> Iterator[Progress]:
    """The phase's progress until it exits or ``stop`` is set. A line that is none is passed over."""
    buffer = b""
    with selectors.DefaultSelector() as selector, os.fdopen(reader, "rb", buffering=0) as pipe:
        os.set_blocking(reader, False)
        selector.register(pipe, selectors.EVENT_READ)
        while not stop.is_set():
            exited = process.poll() is not None
            for _ in selector.select(timeout=0 if exited else POLL_SECONDS):
                chunk = pipe.read(65536)
                if chunk is None:
                    break
                if not chunk:  # closed: nothing more will come, wait for the exit alone
                    selector.unregister(pipe)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(POLL_SECONDS)
                    break
                *lines, buffer = (buffer + chunk).split(b"\n")
                buffer = buffer[-65536:]
                for line in lines:
                    with contextlib.suppress(ValidationError):  # the submission could write here too
                        yield Progress.model_validate_json(line)
            if exited:
                return
            if not selector.get_map():
                stop.wait(POLL_SECONDS)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the phase and whatever it started that stayed in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(spec: JobSpec, phase: Phase, code: int) -> Failure | None:
    if code == 0 and (spec.work / REPORT[phase]).exists():
        return None
    with contextlib.suppress(RunFailed):
        return read_report(spec.work / FAILURE, Failure)
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return Failure(status="signal", reason=f"killed by {name} while in phase {phase}{hint}")
    return Failure(status="error", reason=f"the {phase} process exited with {code} and left no report")


def log_tail(work: Path, lines: int = 20) -> list[str]:
    """The last lines that a job's processes printed."""
    try:
        content = (work / LOG).read_bytes()[-16384:]
    except OSError:
        return []
    return without_local_paths(content.decode("utf-8", "replace")).splitlines()[-lines:]
