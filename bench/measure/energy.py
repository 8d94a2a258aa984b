"""The energy that a processor or a GPU has used, in joules, where its counter may be read.

On Linux the processor's packages are counted by Intel's and AMD's running average power limit, which the kernel
shows as ``intel-rapl:N`` under ``/sys/class/powercap`` (Linux, Documentation/power/powercap), usually to root
alone; an NVIDIA GPU (Volta and later) by ``nvmlDeviceGetTotalEnergyConsumption``. Both count the whole device,
whoever used it.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
# Some counters turn over after a few minutes at full load.
LONGEST_UNREAD_SECONDS = 60.0


class PackageCounter:
    """One processor package. ``read`` has to be called before the counter has turned over twice."""

    def __init__(self, folder: Path) -> None:
        """Of a folder ``intel-rapl:N``.

        Raises:
            OSError: If the counter may not be read.
            ValueError: If it holds no number.
        """
        self._path = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._last = int(self._path.read_text())
        self._total = 0

    def read(self) -> float:
        """Joules since this object was made."""
        now = int(self._path.read_text())
        self._total += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._total / 1e6


def package_counters(powercap: Path = POWERCAP) -> list[PackageCounter]:
    """One a processor package; empty unless every package of this machine may be read."""
    counters = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        try:
            if (folder / "name").read_text().startswith("package"):
                counters.append(PackageCounter(folder))
        except (OSError, ValueError):
            return []
    return counters


def gpu_counter(device: str) -> Callable[[], float] | None:
    """Joules of ``cuda`` or ``cuda:N`` since its driver was loaded; None if they cannot be read.

    It needs NVIDIA's own package, ``nvidia-ml-py``. Of several GPUs, NVML's order is taken for CUDA's.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = _handle(pynvml, device)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (pynvml.NVMLError, IndexError, ValueError):
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def _handle(pynvml: Any, device: str) -> Any:
    """The GPU that CUDA calls ``device`` in this process."""
    index = int(device.partition(":")[2] or 0)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = str(index) if visible is None else visible.split(",")[index].strip()
    if name.startswith("GPU-"):
        return pynvml.nvmlDeviceGetHandleByUUID(name)
    return pynvml.nvmlDeviceGetHandleByIndex(int(name))


class EnergyMeter:
    """Joules of the device that runs use. ``read`` may be called from any thread."""

    def __init__(self, device: str, powercap: Path = POWERCAP) -> None:
        """Of ``cpu`` (all packages) or ``cuda[:N]``; whatever else draws power is not counted."""
        self._lock = threading.Lock()
        packages = [] if device.startswith("cuda") else package_counters(powercap)
        counter = gpu_counter(device) if device.startswith("cuda") else None
        self._counters = [counter] if counter else [package.read for package in packages]

    def read(self) -> float | None:
        """Joules since some moment; None where they cannot be measured. To be called once a minute at least."""
        with self._lock, contextlib.suppress(Exception):  # a driver that went away costs a figure, not a run
            if self._counters:
                return sum(counter() for counter in self._counters)
        return None
