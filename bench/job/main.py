"""``python -m bench.job.main PHASE WORK``: run one phase of one job in its own subprocess.

A phase writes either its report or ``failure.json`` with a status and a one-line reason. If the process dies
without writing either, the parent process decides the status.
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

from bench.contract.jobs.files import FAILURE, PARENT_PID, SPEC, Phase
from bench.contract.jobs.reports import Failure, read_report
from bench.contract.jobs.spec import JobSpec
from bench.contract.records.record import Status
from bench.errors import BenchError, ContractError
from bench.files import without_local_paths, write_bytes
from bench.job.steps.curves import Diverged
from bench.job.steps.numerics import configure_numerics

# Phase -> module and function. Only the selected module is imported: the others take a tenth of the start-up time.
PHASES = {
    "verify": ("bench.job.phases.verification", "verify"),
    "weights": ("bench.job.phases.handed_in", "convert_weights"),
    "train": ("bench.job.phases.training", "train"),
    "evaluate": ("bench.job.phases.evaluation", "evaluate"),
    "score": ("bench.job.phases.scoring", "score"),
    "score_real": ("bench.job.phases.scoring", "score_real_images"),
    "profile": ("bench.job.phases.profiling", "profile_step"),
}


def to_failure(error: BaseException, folder: Path) -> Failure:
    """Convert an exception into a status and a one-line reason.

    Args:
        error: The exception that ended the phase.
        folder: The submission's folder; a traceback line in it is named in the reason.
    """
    message = without_local_paths(" ".join(str(error).split())) or type(error).__name__
    status: Status = "error"
    if isinstance(error, Diverged):
        status = "nan"
    elif isinstance(error, ContractError):
        status = "contract"
    elif isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in message:
        status, message = "oom", f"out of memory: {message}"
    elif not isinstance(error, BenchError):
        message = f"{type(error).__name__}: {message}{_source_line(error, folder)}{_remedy(message)}"
    return Failure(status=status, reason=message)


def _remedy(message: str) -> str:
    """Return advice for an exception that a setting of the harness causes; "" for other exceptions."""
    if "view size is not compatible" not in message:
        return ""
    return (
        "; the harness keeps convolution weights in channels-last order: write reshape instead of view, or, if a "
        "library calls view (LBFGS, parameters_to_vector), set memory_format = torch.contiguous_format in the "
        "submission class"
    )


def _source_line(error: BaseException, folder: Path) -> str:
    """Return the submission's innermost file, line and function in the traceback; "" if it has none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(folder):
            return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
    return ""


def die_with_parent() -> None:
    """Kill this process as soon as its parent process ends (Linux only; elsewhere it runs to its end).

    A training that outlived a killed ``bench run`` would write into the folder of the run that replaces it.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    parent = os.environ.get(PARENT_PID)
    if parent is not None and os.getppid() != int(parent):
        sys.exit("the parent process has ended")


def limit_resources(spec: JobSpec) -> None:
    """Set resource limits for this process and its children, which cannot raise them again."""
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_FSIZE, spec.file_bytes)
    if spec.memory_bytes is not None and spec.device == "cpu":  # CUDA reserves far more memory than it uses
        _lower_limit(resource.RLIMIT_DATA, spec.memory_bytes)


def _lower_limit(limit: int, maximum: int) -> None:
    """Lower a resource limit to ``maximum``; keep an existing limit that is lower."""
    for existing in resource.getrlimit(limit):
        maximum = maximum if existing == resource.RLIM_INFINITY else min(maximum, existing)
    resource.setrlimit(limit, (maximum, maximum))


def main() -> int:
    """Run the phase named on the command line; return 0 if its report was written, else 1."""
    die_with_parent()
    phase, work = cast(Phase, sys.argv[1]), Path(sys.argv[2])
    spec = read_report(work / SPEC, JobSpec)
    module, function = PHASES[phase]
    try:
        if phase not in ("score", "score_real"):  # these two run no code of a submission
            limit_resources(spec)
        torch.set_num_threads(spec.threads)
        configure_numerics(phase, spec.device, spec.execution.precision)
        getattr(importlib.import_module(module), function)(spec)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        write_bytes(work / FAILURE, to_failure(error, spec.folder).model_dump_json().encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
