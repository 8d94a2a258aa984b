"""Which device to use, how many runs side by side, how many threads each."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contract.jobs import Load
from bench.errors import UsageError
from bench.measure.container import processors

USABLE = 0.9  # of a GPU's memory
CONTEXT_BYTES = 2**30  # that a process takes on it besides what torch reserves: code, cuDNN's and cuBLAS's own


def choose_device(wanted: str) -> str:
    """``auto`` as ``cuda`` where torch finds one, else ``cpu``; anything else as it is.

    torch is asked in a process of its own, and only where the system has an NVIDIA driver at all, so that
    the parent stays free of it.

    Raises:
        UsageError: If ``wanted`` is not a device this harness runs on.
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
    """The cores that this process may run on; of a container that gets a share of them, as many whole ones."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = processors()
    return cores if given is None else max(1, min(cores, math.floor(given + 0.01)))


def choose_jobs(wanted: int | None, device: str, runs: int) -> tuple[int, int]:
    """How many runs side by side, and threads each.

    On a CPU one single-threaded run per core: two multi-threaded ones beside each other ran 6 to 25 times
    slower, and one run gains only some 1.5 times from a second core. On a GPU each needs a core too, to ask for
    its kernels; how many of these it bears is measured later (``runs_that_fit``).
    """
    cores = usable_cores()
    jobs = wanted or min(cores, max(1, runs))
    return jobs, max(1, cores // jobs)


def runs_that_fit(loads: Sequence[Load], device_bytes: int) -> int | None:
    """How many runs keep a GPU busy without waiting for one another; None while nothing was measured.

    Args:
        loads: Of the trainings that are to run.
        device_bytes: The GPU's memory.
    """
    if not loads:
        return None
    by_time = math.ceil(len(loads) / sum(load.busy for load in loads))
    by_memory = int(USABLE * device_bytes / (CONTEXT_BYTES + max(load.memory_bytes for load in loads)))
    return max(1, min(by_time, by_memory))
