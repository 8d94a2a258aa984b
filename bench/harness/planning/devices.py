"""Choice of the device, of the number of parallel runs, and of the threads per run."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contract.jobs.reports import GpuLoad
from bench.errors import UsageError
from bench.measure.machine.container import processors

USABLE = 0.9  # fraction of a GPU's memory
# GPU memory per process outside of torch's allocator: the CUDA context, code, cuDNN and cuBLAS.
CONTEXT_BYTES = 2**30


def choose_device(wanted: str) -> str:
    """Resolve ``--device``: ``auto`` becomes ``cuda`` if torch finds a GPU, else ``cpu``.

    The check imports torch in a subprocess, so that the parent process need not load it, and runs only if the
    system has an NVIDIA driver.

    Raises:
        UsageError: If ``wanted`` is not a supported device, or a GPU that torch does not find.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wanted):
        raise UsageError(f"--device {wanted!r}: give auto, cpu, cuda or cuda:N")
    if wanted == "cpu" or (wanted == "auto" and not Path("/dev/nvidiactl").exists()):
        return "cpu"
    check = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)"
    usable = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True).returncode == 0
    if not usable and wanted != "auto":
        raise UsageError(f"--device {wanted}: torch finds no CUDA device here; `bench doctor` shows what it finds")
    return wanted if wanted != "auto" else "cuda" if usable else "cpu"


def usable_cores() -> int:
    """Return the number of cores that this process may use, within a container's processor limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = processors()
    # 0.01 allows for rounding of the limit, such as 1.999.
    return cores if limit is None else max(1, min(cores, math.floor(limit + 0.01)))


def choose_jobs(wanted: int | None, device: str, runs: int) -> tuple[int, int]:
    """Return the number of parallel runs, and the threads per run.

    On a CPU there are as many parallel runs as cores, with one thread each; fewer runs share the cores. Two runs
    that each used all cores were 6 to 25 times slower, and one run is only about 1.5 times faster with a second
    core. On a GPU, each run also needs a core, to launch kernels; the number that fits is measured later
    (``runs_that_fit``).

    Args:
        wanted: The value of ``--jobs``; None to choose.
        device: The resolved device.
        runs: Number of runs to do.
    """
    cores = usable_cores()
    jobs = wanted or min(cores, max(1, runs))
    return jobs, max(1, cores // jobs)


def runs_that_fit(loads: Sequence[GpuLoad], device_bytes: int) -> int | None:
    """Return how many parallel runs fit on a GPU: enough to keep it busy, within its memory.

    Args:
        loads: Measured GPU loads of the trainings; without any, the result is None.
        device_bytes: The GPU's memory.
    """
    if not loads:
        return None
    by_time = math.ceil(len(loads) / sum(load.busy for load in loads))
    by_memory = int(USABLE * device_bytes / (CONTEXT_BYTES + max(load.memory_bytes for load in loads)))
    return max(1, min(by_time, by_memory))
