"""Processes on this machine: one a phase, in a process group of its own, heard through a pipe of the harness's."""

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

from bench.contract.jobs import (
    CHECKPOINT,
    EVENTS_FD,
    FAILURE,
    INPUTS,
    PARENT_PID,
    PROGRESS_FOLDER,
    REPORT,
    SPEC,
    WEIGHTS,
    Failure,
    JobData,
    JobSpec,
    Phase,
    Progress,
    read_report,
)
from bench.errors import RunFailed
from bench.files import REPOSITORY, without_local_paths, write_bytes
from bench.run.executors.limits import Limits, Watch
from bench.run.executors.sandbox import CLOSED, Walls, sandboxed, without_secrets
from bench.run.executors.tree import MODULE, end_tree, start_tree

LOG = "log.txt"
LOG_BYTES = 2**20  # of it that are read
SANDBOXED: tuple[Phase, ...] = ("verify", "train", "evaluate", "profile")  # those that run submission code
RESUMED_FROM = (SPEC, FAILURE, CHECKPOINT, WEIGHTS, PROGRESS_FOLDER)  # besides partial samples
FULL_DISK_BYTES = 65_536  # less than a report needs
POLL_SECONDS = 0.2

# Large blocks are kept by the C library: to return them to the system after each step costs a tenth to a quarter
# of it, in page faults.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}

OnProgress = Callable[[Progress], None]


class Stopped(Exception):
    """The user asked to stop; the phase was killed and its checkpoint is kept."""


@dataclass(frozen=True)
class Conditions:
    """Under which a phase runs."""

    limits: Limits
    walls: Walls


def run_phase(
    spec: JobSpec, phase: Phase, on_progress: OnProgress, stop: threading.Event, conditions: Conditions
) -> Failure | None:
    """Run one phase of a job to its end; None when it left its report, else why it did not.

    A phase whose report is there already (from before an interruption) is not run again.

    Raises:
        Stopped: If ``stop`` was set meanwhile.
    """
    if (spec.work / phase / REPORT[phase]).exists():
        return None
    log_path, spec = spec.work / LOG, _given(spec, phase)
    write_bytes(spec.work / SPEC, spec.model_dump_json(indent=1).encode())
    (spec.work / FAILURE).unlink(missing_ok=True)
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", MODULE, phase, str(spec.work)]
    variables = {**environment(spec.threads), EVENTS_FD: str(writer)}
    if conditions.walls == CLOSED and phase in SANDBOXED:
        command = sandboxed(
            command, writable=_writable(spec), readable=_readable(spec, phase), devices=spec.device != "cpu"
        )
        variables = without_secrets(variables)
    with log_path.open("ab") as log:
        process = start_tree(command, log, variables, writer)
    os.close(writer)
    watch = Watch(process.pid, phase, conditions.limits)
    exceeded: list[Failure] = []

    def has_to_end() -> bool:
        failure = watch.exceeded()
        if failure is not None:
            exceeded.append(failure)
        return stop.is_set() or bool(exceeded)

    try:
        for event in _events(reader, process, has_to_end):
            on_progress(event)
    finally:
        end_tree(process)
    if stop.is_set():
        raise Stopped
    failure = exceeded[0] if exceeded else _outcome(spec, phase, process.returncode)
    if failure is not None and phase in SANDBOXED:
        _clear_strangers(spec.work)
    return failure


def _clear_strangers(folder: Path) -> None:
    """Remove from a failed phase's folder what the harness did not put there: it may have filled the disk."""
    for path in folder.iterdir():
        if path.name not in RESUMED_FROM and path.suffix != ".partial":
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _given(spec: JobSpec, phase: Phase) -> JobSpec:
    """The specification with the phase's own folder, and in it copies of what it is given of earlier phases.

    So training hands nothing to evaluation but the weights, which are counted, and no phase can change what
    another has left.
    """
    folder = spec.work / phase
    folder.mkdir(parents=True, exist_ok=True)
    for name, giver in INPUTS.get(phase, {}).items():
        if (spec.work / giver / name).exists():
            shutil.copyfile(spec.work / giver / name, folder / name)
    return spec.model_copy(update={"work": folder, "data": _data_for(spec.data, phase)})


def _data_for(data: JobData, phase: Phase) -> JobData:
    """The phase's own data: training is not told where the test images are, nor evaluation where train is."""
    withheld: dict[Phase, tuple[str, ...]] = {
        "train": ("evaluation_images",),
        "evaluate": ("train_images", "train_labels"),
    }
    nowhere = {} if phase not in SANDBOXED else {"root": Path(os.devnull)}
    return data.model_copy(update={**dict.fromkeys(withheld.get(phase, ())), **nowhere})


def _writable(spec: JobSpec) -> list[Path]:
    """The phase's folder, and what the compiler made for other runs of the same submission and variant."""
    if spec.compiled is None:
        return [spec.work]
    spec.compiled.mkdir(parents=True, exist_ok=True)
    return [spec.work, spec.compiled]


def _readable(spec: JobSpec, phase: Phase) -> list[Path]:
    """What the phase reads besides code: the submission's folder and its own arrays."""
    data = spec.data
    arrays = {"train": (data.train_images, data.train_labels), "evaluate": (data.evaluation_images,)}
    return [spec.folder.resolve(), *(array.path for array in arrays.get(phase, ()) if array is not None)]


def environment(threads: int) -> dict[str, str]:
    """The child's environment: threads stated, and large blocks kept by the C library.

    Left alone, each process starts a thread a core, and two of them beside each other run many times slower,
    because their barriers spin.
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
        # Packages are found where they are for this process, and nothing in the folder that it is run from.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
        PARENT_PID: str(os.getpid()),
    }


def _events(reader: int, process: subprocess.Popen[bytes], has_to_end: Callable[[], bool]) -> Iterator[Progress]:
    """The phase's progress until it exits or has to end. A line that is none is passed over."""
    buffer = b""
    with selectors.DefaultSelector() as selector, os.fdopen(reader, "rb", buffering=0) as pipe:
        os.set_blocking(reader, False)
        selector.register(pipe, selectors.EVENT_READ)
        while not has_to_end():
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
                # How far it is now, of all that came: a submission could write here too, and flood it.
                for line in lines[-1:]:
                    with contextlib.suppress(ValidationError):
                        yield Progress.model_validate_json(line)
            if exited:
                return
            if not selector.get_map():
                time.sleep(POLL_SECONDS)


def _outcome(spec: JobSpec, phase: Phase, code: int) -> Failure | None:
    if code == 0 and (spec.work / REPORT[phase]).exists():
        return None
    with contextlib.suppress(RunFailed):
        return read_report(spec.work / FAILURE, Failure)
    if code > 128 and code - 128 in set(signal.Signals):  # as a shell, and a sandbox, passes a signal on
        code = 128 - code
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return Failure(status="signal", reason=f"killed by {name} while in phase {phase}{hint}")
    full = shutil.disk_usage(spec.work).free < FULL_DISK_BYTES
    hint = ": No space left on device" if full else ""
    return Failure(status="error", reason=f"the {phase} process exited with {code} and left no report{hint}")


def read_log(work: Path) -> str:
    """What a job's processes printed, without this machine's folders: the last ``LOG_BYTES`` of it."""
    try:
        with (work / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            content = file.read()
    except OSError:
        return ""
    return without_local_paths(content.decode("utf-8", "replace"))


def tail_of(log: str, lines: int = 20) -> list[str]:
    """The last lines of a log, as a record keeps them."""
    return log[-16384:].splitlines()[-lines:]
