"""Walls around a process that runs somebody else's code, where this system has them.

With bubblewrap (``bwrap``) the process has no network, sees only the files that it needs, can write to its phase's
folder only, and everything that it starts ends with it. Without, it is a process group of the user's: it can read
and write what the user can. Records say which it was.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UsageError
from bench.files import REPOSITORY

PROGRAM = "bwrap"
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/sys", "/nix",
    *(f"/etc/{name}" for name in ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
                                  "passwd", "group", "nsswitch.conf", "OpenCL")),
)  # fmt: skip
HOME = "/tmp/home"
PROBE_SECONDS = 60
# Of the environment: what programs and the device need. Not where data sets lie, and nobody's keys.
KEPT = (
    "PATH", "LANG", "LC_", "TZ", "LD_", "OMP_", "MKL_", "OPENBLAS_", "MALLOC_", "PYTHON", "CUDA", "NVIDIA",
    "NCCL_", "TORCH", "PYTORCH", "BENCH_EVENTS",
)  # fmt: skip


@dataclass(frozen=True)
class Walls:
    """What stands between a submission's process and the rest of the machine; in the environment of a record."""

    processes: str = "a group of its own"
    network: str = "as the user's"
    files: str = "as the user's"


OPEN = Walls()
CLOSED = Walls(
    processes="a namespace of their own",
    network="none",
    files="read-only: the system, the code, its own data; to write: its phase's folder",
)


def choose_walls(wanted: str, device: str = "cpu") -> Walls:
    """``auto`` for the highest walls that stand here, ``bwrap`` for those or an error, ``none`` for none.

    Args:
        wanted: One of these.
        device: What runs use; walls through which a GPU cannot be reached are none for it.

    Raises:
        UsageError: If ``bwrap`` is wanted and does not work here, or ``wanted`` is none of these.
    """
    if wanted not in ("auto", "bwrap", "none"):
        raise UsageError(f"--sandbox {wanted!r}: give auto, bwrap or none")
    if wanted == "none":
        return OPEN
    reason = unusable(device != "cpu")
    if reason is None:
        return CLOSED
    if wanted == "bwrap":
        raise UsageError(f"--sandbox bwrap: {reason}")
    return OPEN


@cache
def unusable(devices: bool = False) -> str | None:
    """Why there can be no sandbox here; None if there can. Tried out, for a kernel may forbid it.

    Args:
        devices: Whether a GPU has to be reached from within.
    """
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed, e.g. apt-get install bubblewrap"
    check = "import bench.errors, numpy"
    if devices:
        check += ", torch; assert torch.cuda.is_available(), 'the GPU cannot be reached from within'"
    command = sandboxed([sys.executable, "-P", "-c", check], writable=[], readable=[], devices=devices)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{PROGRAM} does not work here: {error}"
    if done.returncode == 0:
        return None
    return f"{PROGRAM} does not work here: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"


def sandboxed(
    command: Sequence[str], *, writable: Sequence[Path], readable: Sequence[Path], devices: bool = False
) -> list[str]:
    """``command`` behind walls.

    Args:
        command: Program and arguments.
        writable: Folders, absolute, that it may write to.
        readable: Files and folders, absolute, that it may read besides the system and Python's own.
        devices: Whether it needs the machine's devices, as for a GPU.
    """
    shared = _shared_gpu() if devices else []
    made = [PROGRAM, "--die-with-parent", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    made += [] if shared else ["--unshare-ipc"]
    made += ["--proc", "/proc", "--tmpfs", "/tmp"]
    made += ["--dev-bind", "/dev", "/dev"] if devices else ["--dev", "/dev"]
    for path in (*map(Path, SYSTEM), *_python(), *readable):
        made += ["--ro-bind-try", str(path), str(path)]
    for path in (*shared, *writable):
        made += ["--bind", str(path), str(path)]
    return [*made, "--dir", HOME, "--setenv", "HOME", HOME, "--chdir", HOME, *command]


def _shared_gpu() -> list[Path]:
    """Where NVIDIA's MPS listens, by which processes use a GPU at the same time; nothing where it does not run.

    Its clients also share memory with it, so that they cannot have that to themselves.
    """
    folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    return [folder] if folder.is_dir() else []


def _python() -> Iterator[Path]:
    """Where this Python, its packages and this repository's code are; results and data beside them are not."""
    yield from {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent}
    yield from {Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")}
    for name in ("bench", "reference_models"):
        yield REPOSITORY / name
    for entry in (*sys.path, *os.environ.get("LD_LIBRARY_PATH", "").split(":")):
        path = Path(entry).resolve()
        if entry and path.is_dir() and path != REPOSITORY and path != Path.cwd():
            yield path


def without_secrets(environment: dict[str, str]) -> dict[str, str]:
    """What of the environment a sandboxed process is given."""
    return {name: value for name, value in environment.items() if name.startswith(KEPT)}
