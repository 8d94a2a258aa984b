"""Describe the environment of a measurement for a run's record, without user, host or folder names."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.files import REPOSITORY, without_local_paths
from bench.git import GitFailed, git
from bench.measure.machine.container import memory_bytes, processors

PACKAGES = ("torch", "torchvision", "fvcore", "numpy", "scipy", "torch-fidelity", "lpips")
ALLOCATOR_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def capture_environment(device: str, machine: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return ``capture_machine`` and torch's description of the device as JSON-able values.

    Args:
        device: "cpu" or "cuda[:N]".
        machine: An earlier result of ``capture_machine``, which saves asking git and the driver again.
    """
    return (capture_machine(device) if machine is None else machine) | _torch_environment(device)


def capture_machine(device: str = "cpu") -> dict[str, Any]:
    """Return versions, machine and repository state as JSON-able values, without torch; unknown values are None.

    This runs git and, for a CUDA ``device``, ``nvidia-smi``; call it once per command.
    """
    machine: dict[str, Any] = {
        "capbench": _version("capbench"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "packages": {name: _version(name) for name in PACKAGES},
        "repository": _repository(),
    }
    limits = {"processors": processors(), "memory_bytes": memory_bytes()}
    if any(limit is not None for limit in limits.values()):
        machine["container"] = limits
    if device.startswith("cuda"):
        machine["driver"] = _driver()
    return machine


def peak_memory_bytes(device: str) -> int:
    """Return the peak memory of this process in bytes: GPU memory for a CUDA ``device``, else resident memory."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _repository() -> dict[str, Any] | None:
    """Return the commit of the git checkout of this package, and whether it is clean; None outside a checkout.

    If git fails, ``unknown`` holds the reason.
    """
    if not (REPOSITORY / ".git").exists():
        return None
    try:
        # Without results/: a record that the first run wrote must not make the second run's checkout dirty.
        changed = git(REPOSITORY, "status", "--porcelain", "--", ".", ":(exclude)results")
        commit = git(REPOSITORY, "rev-parse", "HEAD").decode().strip()
    except GitFailed as error:
        return {"commit": None, "clean": None, "unknown": without_local_paths(str(error))}
    return {"commit": commit, "clean": changed == b""}


def _torch_environment(device: str) -> dict[str, Any]:
    import torch

    environment: dict[str, Any] = {
        "device_type": device.partition(":")[0],
        "device": _cpu_model(),
        "threads": torch.get_num_threads(),
        "allocator": {name: os.environ[name] for name in ALLOCATOR_VARIABLES if name in os.environ},
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        environment |= {
            "device": properties.name,
            "device_memory_bytes": properties.total_memory,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "tf32_in_products": torch.backends.cuda.matmul.allow_tf32,
            "tf32_in_convolutions": torch.backends.cudnn.allow_tf32,
        }
    return environment


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return output.splitlines()[0].strip() if output else None
