"""Phase processes on this machine: one per phase, in its own process group, reporting progress through a pipe."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.contract.jobs.files import (
    CHECKPOINT,
    EVENTS_FD,
    FAILURE,
    INPUTS,
    PARENT_PID,
    PROGRESS_FOLDER,
    REPORT,
    SPEC,
    WEIGHTS,
    Phase,
)
from bench.contract.jobs.reports import Failure, Progress, read_report
from bench.contract.jobs.spec import JobData, JobSpec
from bench.errors import RunFailed
from bench.files import REPOSITORY, without_local_paths, write_bytes
from bench.harness.executors.limits import Limits, Watch
from bench.harness.executors.process_tree import MODULE, end_process_tree, start_process_tree
from bench.harness.executors.sandbox import BUBBLEWRAP, Sandbox, sandbox_command, without_secrets

LOG = "log.txt"
LOG_BYTES = 2**20  # only the end of a log is read
# The phases that run submission code, or read a file that a participant made.
SANDBOXED: tuple[Phase, ...] = ("verify", "weights", "train", "evaluate", "profile")
RESUME_FILES = (SPEC, FAILURE, CHECKPOINT, WEIGHTS, PROGRESS_FOLDER)  # and partial samples
FULL_DISK_BYTES = 65_536  # a report needs more
POLL_SECONDS = 0.2

# Let the C library keep large memory blocks: returning them to the system after every training step costs 10 % to
# 25 % of the step's time, in page faults.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}

OnProgress = Callable[[Progress], None]


class Stopped(Exception):
    """The user stopped the run; the phase was killed and its checkpoint is kept."""


@dataclass(frozen=True)
class PhaseEnvironment:
    """The resource limits and the sandbox of a phase."""

    limits: Limits
    sandbox: Sandbox


def run_phase(
    spec: JobSpec,
    phase: Phase,
    on_progress: OnProgress,
    stop: threading.Event,
    phase_environment: PhaseEnvironment,
) -> Failure | None:
    """Run one phase of a job to its end. Return None if it left its report, otherwise the failure.

    A phase whose report exists already, from before an interruption, is not run again.

    Raises:
        Stopped: If ``stop`` was set during the phase.
    """
    if (spec.work / phase / REPORT[phase]).exists():
        return None
    log_path, spec = spec.work / LOG, _prepare_phase(spec, phase)
    write_bytes(spec.work / SPEC, spec.model_dump_json(indent=1).encode())
    (spec.work / FAILURE).unlink(missing_ok=True)
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", MODULE, phase, str(spec.work)]
    variables = {**environment(spec.threads), EVENTS_FD: str(writer)}
    if phase_environment.sandbox == BUBBLEWRAP and phase in SANDBOXED:
        command = sandbox_command(
            command, writable=_writable(spec), readable=_readable(spec, phase), devices=spec.device != "cpu"
        )
        variables = without_secrets(variables)
    with log_path.open("ab") as log:
        process = start_process_tree(command, log, variables, writer)
    os.close(writer)
    watch = Watch(process.pid, phase, phase_environment.limits)
    exceeded: list[Failure] = []

    def must_end() -> bool:
        failure = watch.exceeded()
        if failure is not None:
            exceeded.append(failure)
        return stop.is_set() or bool(exceeded)

    try:
        for event in _events(reader, process, must_end):
            on_progress(event)
    finally:
        end_process_tree(process)
    if stop.is_set():
        raise Stopped
    failure = exceeded[0] if exceeded else _outcome(spec, phase, process.returncode)
    if failure is not None and phase in SANDBOXED:
        _remove_unknown_files(spec.work)
    return failure


def _remove_unknown_files(folder: Path) -> None:
    """Remove files that resuming does not need from a failed phase's folder: they may have filled the disk."""
    for path in folder.iterdir():
        if path.name not in RESUME_FILES and path.suffix != ".partial":
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _prepare_phase(spec: JobSpec, phase: Phase) -> JobSpec:
    """Create the phase's folder, copy its inputs from earlier phases there, and return the phase's specification.

    Thus evaluation gets only the weights from training, which are counted as parameters, and no phase can change
    the output of another.
    """
    folder = spec.work / phase
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in INPUTS.get(phase, {}).items():
        if (spec.work / source / name).exists():
            shutil.copyfile(spec.work / source / name, folder / name)
    return spec.model_copy(update={"work": folder, "data": _phase_data(spec.data, phase)})


def _phase_data(data: JobData, phase: Phase) -> JobData:
    """Hide data that a phase must not see: evaluation images from training, the training set from evaluation.

    Phases that run submission code do not learn where the data sets' own files are either.
    """
    withheld: dict[Phase, tuple[str, ...]] = {
        "weights": ("train_images", "train_labels", "evaluation_images"),
        "train": ("evaluation_images",),
        "evaluate": ("train_images", "train_labels"),
    }
    hidden_root = {} if phase not in SANDBOXED else {"root": Path(os.devnull), "source": None}
    return data.model_copy(update={**dict.fromkeys(withheld.get(phase, ())), **hidden_root})


def _writable(spec: JobSpec) -> list[Path]:
    """Return the folders that a phase may write: its own, and the compiler cache of its submission and variant."""
    if spec.compile_cache is None:
        return [spec.work]
    spec.compile_cache.mkdir(parents=True, exist_ok=True)
    return [spec.work, spec.compile_cache]


def _readable(spec: JobSpec, phase: Phase) -> list[Path]:
    """Return the paths that a phase reads besides code: the submission's folder and the phase's data arrays."""
    data = spec.data
    arrays = {"train": (data.train_images, data.train_labels), "evaluate": (data.evaluation_images,)}
    return [spec.folder.resolve(), *(array.path for array in arrays.get(phase, ()) if array is not None)]


def environment(threads: int) -> dict[str, str]:
    """Return a phase process's environment variables: its thread counts, allocator settings and import path.

    By default, each process starts one thread per core. Two such processes on the same cores run many times
    slower, because their threads spin at barriers.
    """
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        **ALLOCATOR,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        # Packages come from this process's import path, and never from the current folder.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
        PARENT_PID: str(os.getpid()),
    }


def _events(reader: int, process: subprocess.Popen[bytes], must_end: Callable[[], bool]) -> Iterator[Progress]:
    """Yield the phase's progress events until it exits or must end. Skip malformed lines."""
    buffer = b""
    with selectors.DefaultSelector() as selector, os.fdopen(reader, "rb", buffering=0) as pipe:
        os.set_blocking(reader, False)
        selector.register(pipe, selectors.EVENT_READ)
        while not must_end():
            exited = process.poll() is not None
            for _ in selector.select(timeout=0 if exited else POLL_SECONDS):
                chunk = pipe.read(65536)
                if chunk is None:
                    break
                if not chunk:  # the pipe is closed: only the exit is left to wait for
                    selector.unregister(pipe)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(POLL_SECONDS)
                    break
                *lines, buffer = (buffer + chunk).split(b"\n")
                buffer = buffer[-65536:]
                # Only the latest line: a submission could write to this pipe too, and flood it.
                for line in lines[-1:]:
                    with contextlib.suppress(ValidationError):
                        yield Progress.model_validate_json(line)
            if exited:
                return
            if not selector.get_map():
                time.sleep(POLL_SECONDS)


def _outcome(spec: JobSpec, phase: Phase, code: int) -> Failure | None:
    """Return why a phase failed, by its exit code and files; None if it left its report."""
    if code == 0 and (spec.work / REPORT[phase]).exists():
        return None
    with contextlib.suppress(RunFailed):
        return read_report(spec.work / FAILURE, Failure)
    if code > 128 and code - 128 in set(signal.Signals):  # a shell and bubblewrap report a signal so
        code = 128 - code
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return Failure(status="signal", reason=f"killed by {name} while in phase {phase}{hint}")
    disk_full = shutil.disk_usage(spec.work).free < FULL_DISK_BYTES
    hint = ": No space left on device" if disk_full else ""
    return Failure(status="error", reason=f"the {phase} process exited with {code} and left no report{hint}")


def read_log(work: Path) -> str:
    """Return the last ``LOG_BYTES`` of a job's log, without this machine's paths; empty if there is no log."""
    try:
        with (work / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            content = file.read()
    except OSError:
        return ""
    return without_local_paths(content.decode("utf-8", "replace"))


def tail_of(log: str, lines: int = 20) -> list[str]:
    """Return the last lines of a log, as stored in a record."""
    return log[-16384:].splitlines()[-lines:]
