"""Sandboxes for processes that run submission code, where the system supports them.

With bubblewrap (``bwrap``), a process has no network, sees only the files that it needs, can write only to its
phase's folder, and all its descendants end with it. Without bubblewrap, it is an ordinary process group that can
read and write all files of the user. Records say which of the two was used.
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
# Ubuntu sets it to 1 from 23.10 on, and then bubblewrap needs an AppArmor profile.
APPARMOR_SETTING = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
APPARMOR_REMEDY = "AppArmor restricts user namespaces here; docs/reliability.md says how to allow them"
# Prefixes of the environment variables that programs and the device need. No data set paths and no credentials.
PASSED_VARIABLES = (
    "PATH", "LANG", "LC_", "TZ", "LD_", "OMP_", "MKL_", "OPENBLAS_", "MALLOC_", "PYTHON", "CUDA", "NVIDIA",
    "NCCL_", "TORCH", "PYTORCH", "BENCH_EVENTS",
)  # fmt: skip


@dataclass(frozen=True)
class Sandbox:
    """The isolation of a submission's process, as stored in a record's environment."""

    processes: str = "a group of its own"
    network: str = "as the user's"
    files: str = "as the user's"


NO_SANDBOX = Sandbox()
BUBBLEWRAP = Sandbox(
    processes="a namespace of their own",
    network="none",
    files="read-only: the system, the code, its own data; to write: its phase's folder",
)


def choose_sandbox(wanted: str, device: str = "cpu") -> Sandbox:
    """Choose the sandbox of runs.

    Args:
        wanted: ``auto`` for bubblewrap if it works here, ``bwrap`` to require it, ``none`` for no sandbox.
        device: The device that runs use. On a GPU, bubblewrap works only if the GPU is usable inside it.

    Raises:
        UsageError: If ``bwrap`` is required and does not work here, or ``wanted`` has another value.
    """
    if wanted not in ("auto", "bwrap", "none"):
        raise UsageError(f"--sandbox {wanted!r}: give auto, bwrap or none")
    if wanted == "none":
        return NO_SANDBOX
    reason = why_unusable(device != "cpu")
    if reason is None:
        return BUBBLEWRAP
    if wanted == "bwrap":
        raise UsageError(f"--sandbox bwrap: {reason}")
    return NO_SANDBOX


@cache
def why_unusable(devices: bool = False) -> str | None:
    """Return why bubblewrap does not work here; None if it works. Runs it once, because a kernel may forbid it.

    Args:
        devices: Whether a GPU must be usable inside the sandbox.
    """
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed, e.g. apt-get install bubblewrap"
    check = "import bench.errors, numpy"
    if devices:
        check += ", torch; assert torch.cuda.is_available(), 'the GPU is not usable inside the sandbox'"
    command = sandbox_command([sys.executable, "-P", "-c", check], writable=[], readable=[], devices=devices)
    try:
        probe = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{PROGRAM} does not work here: {error}"
    if probe.returncode == 0:
        return None
    reason = f"{PROGRAM} does not work here: {(probe.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return f"{reason}; {APPARMOR_REMEDY}" if _apparmor_restricts() else reason


def _apparmor_restricts() -> bool:
    """Return whether AppArmor refuses user namespaces to programs without a profile that allows them."""
    try:
        return APPARMOR_SETTING.read_text().strip() == "1"
    except OSError:
        return False


def sandbox_command(
    command: Sequence[str], *, writable: Sequence[Path], readable: Sequence[Path], devices: bool = False
) -> list[str]:
    """Return the command line that runs ``command`` in a bubblewrap sandbox.

    Args:
        command: Program and arguments.
        writable: Absolute paths of folders that it may write to.
        readable: Absolute paths of files and folders that it may read besides the system's and Python's.
        devices: Whether it needs the machine's devices, such as a GPU.
    """
    shared = _mps_folder() if devices else []
    arguments = [PROGRAM, "--die-with-parent", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    arguments += [] if shared else ["--unshare-ipc"]
    arguments += ["--proc", "/proc", "--tmpfs", "/tmp"]
    arguments += ["--dev-bind", "/dev", "/dev"] if devices else ["--dev", "/dev"]
    for path in (*map(Path, SYSTEM), *_python(), *readable):
        arguments += ["--ro-bind-try", str(path), str(path)]
    for path in (*shared, *writable):
        arguments += ["--bind", str(path), str(path)]
    return [*arguments, "--dir", HOME, "--setenv", "HOME", HOME, "--chdir", HOME, *command]


def _mps_folder() -> list[Path]:
    """Return the folder of NVIDIA MPS's pipes, if MPS runs; with it, several processes use a GPU at the same time.

    MPS clients share memory with the MPS server, so the sandbox then keeps the host's IPC namespace.
    """
    folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    return [folder] if folder.is_dir() else []


def _python() -> Iterator[Path]:
    """Yield the paths of Python, its packages and this repository's code, but not of results and data."""
    yield from {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent}
    yield from {Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")}
    for name in ("bench", "reference_models"):
        yield REPOSITORY / name
    for entry in (*sys.path, *os.environ.get("LD_LIBRARY_PATH", "").split(":")):
        path = Path(entry).resolve()
        if entry and path.is_dir() and path != REPOSITORY and path != Path.cwd():
            yield path


def without_secrets(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment variables that a sandboxed process receives."""
    return {name: value for name, value in environment.items() if name.startswith(PASSED_VARIABLES)}
