"""Read the energy consumption of processors and GPUs in joules, if their counters are readable.

Processors: Intel's and AMD's running average power limit (RAPL). Linux exposes a counter per processor package as
``intel-rapl:N`` in ``/sys/class/powercap`` (Linux, Documentation/power/powercap), usually readable only by root.
NVIDIA GPUs (Volta and later): ``nvmlDeviceGetTotalEnergyConsumption``. Both count the whole device, including its
use by other processes.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
# Some counters overflow after a few minutes at full load.
LONGEST_UNREAD_SECONDS = 60.0


class PackageCounter:
    """The counter of one processor package. Call ``read`` at least once per counter overflow."""

    def __init__(self, folder: Path) -> None:
        """Start counting.

        Args:
            folder: ``intel-rapl:N``.

        Raises:
            OSError: If the counter is not readable.
            ValueError: If its file holds no number.
        """
        self._path = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._last = int(self._path.read_text())
        self._total = 0

    def read(self) -> float:
        """Return the joules since this object was created."""
        now = int(self._path.read_text())
        self._total += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._total / 1e6


def package_counters(powercap: Path = POWERCAP) -> list[PackageCounter]:
    """Return one counter per processor package; none at all if a package's counter is not readable."""
    counters = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        try:
            if (folder / "name").read_text().startswith("package"):
                counters.append(PackageCounter(folder))
        except (OSError, ValueError):
            return []
    return counters


def gpu_counter(device: str) -> Callable[[], float] | None:
    """Return a function that reads the joules of ``cuda`` or ``cuda:N`` since its driver was loaded.

    None if the counter is not readable. This needs NVIDIA's package ``nvidia-ml-py``. With several GPUs, NVML's
    order is assumed to be CUDA's order.
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
    """Return NVML's handle of the GPU that CUDA calls ``device`` in this process."""
    index = int(device.partition(":")[2] or 0)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = str(index) if visible is None else visible.split(",")[index].strip()
    if name.startswith("GPU-"):
        return pynvml.nvmlDeviceGetHandleByUUID(name)
    return pynvml.nvmlDeviceGetHandleByIndex(int(name))


class EnergyMeter:
    """The energy meter of the device that runs use. ``read`` is thread-safe."""

    def __init__(self, device: str, powercap: Path = POWERCAP) -> None:
        """Measure ``cpu`` (all packages) or ``cuda[:N]``; other parts of the machine are not measured."""
        self._lock = threading.Lock()
        packages = [] if device.startswith("cuda") else package_counters(powercap)
        counter = gpu_counter(device) if device.startswith("cuda") else None
        self._counters = [counter] if counter else [package.read for package in packages]

    def read(self) -> float | None:
        """Return the joules since an arbitrary moment; None if not readable. Call it at least once per minute."""
        with self._lock, contextlib.suppress(Exception):  # a driver failure must not fail the run
            if self._counters:
                return sum(counter() for counter in self._counters)
        return None
