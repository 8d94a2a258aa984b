"""``python -m bench.job.main PHASE WORK``: one phase of one job, in a process of its own.

Whatever happens ends as a report or as ``failure.json`` with a status and one line; a process that dies
without either is judged by its parent.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import cast

import torch

from bench.contract.jobs import FAILURE, PARENT_PID, SPEC, Failure, JobSpec, Phase, read_report
from bench.contract.records import Status
from bench.errors import BenchError, CapError, ContractError
from bench.files import without_local_paths, write_bytes
from bench.job.curves import Diverged
from bench.job.numerics import settle

# Phase -> module and function. Only the one that is run is imported: the others take a tenth of a start.
PHASES = {
    "verify": ("bench.job.verification", "verify"),
    "train": ("bench.job.training", "train"),
    "evaluate": ("bench.job.evaluation", "evaluate"),
    "score": ("bench.job.scoring", "score"),
    "floor": ("bench.job.scoring", "floor"),
    "profile": ("bench.job.profile", "profile_step"),
}


def judge(error: BaseException, folder: Path) -> Failure:
    """The status and the one-line reason of an exception."""
    message = without_local_paths(" ".join(str(error).split())) or type(error).__name__
    status: Status = "error"
    if isinstance(error, Diverged):
        status = "nan"
    elif isinstance(error, CapError):
        status = "cap"
    elif isinstance(error, ContractError):
        status = "contract"
    elif isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in message:
        status, message = "oom", f"out of memory: {message}"
    elif not isinstance(error, BenchError):
        message = f"{type(error).__name__}: {message}{_place(error, folder)}{_remedy(message)}"
    return Failure(status=status, reason=message)


def _remedy(message: str) -> str:
    """For an exception whose cause is the harness's choice."""
    if "view size is not compatible" not in message:
        return ""
    return (
        "; convolutions are kept in channels-last order: write reshape instead of view, or, where the call is not "
        "yours (LBFGS, parameters_to_vector), put memory_format = torch.contiguous_format on the submission"
    )


def _place(error: BaseException, folder: Path) -> str:
    """The submission's line that the exception came from, if it did."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(folder):
            return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
    return ""


def die_with_parent() -> None:
    """End this process when its parent ends, however that happens (Linux; elsewhere it runs to its end).

    A training that outlived a killed ``bench run`` would write into the folder of the one that replaces it.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    parent = os.environ.get(PARENT_PID)
    if parent is not None and os.getppid() != int(parent):
        sys.exit("the parent is gone")


def limit_resources(spec: JobSpec) -> None:
    """What the system itself enforces, for this process and all that it starts; it cannot be raised again."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, spec.file_bytes)
    if spec.memory_bytes is not None and spec.device == "cpu":  # CUDA reserves far more than it uses
        _limit(resource.RLIMIT_DATA, spec.memory_bytes)


def _limit(which: int, most: int) -> None:
    """Lower a limit to ``most``; one of the user's own that is lower stays."""
    for own in resource.getrlimit(which):
        most = most if own == resource.RLIM_INFINITY else min(most, own)
    resource.setrlimit(which, (most, most))


def main() -> int:
    """Run the phase named on the command line; 0 when its report was written."""
    die_with_parent()
    phase, work = cast(Phase, sys.argv[1]), Path(sys.argv[2])
    spec = read_report(work / SPEC, JobSpec)
    module, function = PHASES[phase]
    try:
        if phase not in ("score", "floor"):  # which run no submission's code
            limit_resources(spec)
        torch.set_num_threads(spec.threads)
        settle(phase, spec.device, spec.execution.precision)
        getattr(importlib.import_module(module), function)(spec)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        write_bytes(work / FAILURE, judge(error, spec.folder).model_dump_json().encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
