"""Energy counters, against made-up files of the kernel and a made-up driver: this machine may have neither."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.measure.speed.energy import EnergyMeter, package_counters


def package(root: Path, number: int, microjoules: int, name: str = "package-0") -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(exist_ok=True)
    for file, content in (("name", name), ("max_energy_range_uj", "10000000"), ("energy_uj", str(microjoules))):
        (folder / file).write_text(f"{content}\n")
    return folder


def test_joules_of_all_packages_are_added_across_a_counter_overflow(tmp_path: Path) -> None:
    package(tmp_path, 0, 9_000_000)
    package(tmp_path, 1, 1_000_000)
    package(tmp_path, 2, 0, name="psys")  # the platform, which includes the packages
    meter = EnergyMeter("cpu", tmp_path)
    assert meter.read() == 0
    package(tmp_path, 0, 9_500_000)
    assert meter.read() == pytest.approx(0.5)
    package(tmp_path, 0, 1_500_000)  # the counter wraps at 10 J
    package(tmp_path, 1, 1_250_000)
    package(tmp_path, 2, 9_000_000, name="psys")
    assert meter.read() == pytest.approx(2.5 + 0.25)


def test_missing_or_unreadable_counter_gives_no_measurement(tmp_path: Path) -> None:
    assert EnergyMeter("cpu", tmp_path).read() is None
    package(tmp_path, 0, 5)
    (package(tmp_path, 1, 5) / "energy_uj").write_text("")  # one of two packages is no measurement
    assert package_counters(tmp_path) == []


def test_counter_that_disappears_gives_no_measurement(tmp_path: Path) -> None:
    folder = package(tmp_path, 0, 5)
    meter = EnergyMeter("cpu", tmp_path)
    (folder / "energy_uj").unlink()
    assert meter.read() is None


class NVMLError(Exception):
    """The driver's error."""


def driver(joules: dict[str, float], **changes: object) -> SimpleNamespace:
    functions = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: f"index {index}",
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: joules[handle] * 1e3,
    }
    return SimpleNamespace(**{**functions, **changes})


@pytest.mark.parametrize(
    ("visible", "device", "handle"),
    [
        (None, "cuda", "index 0"),
        (None, "cuda:1", "index 1"),
        ("3,2", "cuda:1", "index 2"),
        ("GPU-ab,GPU-cd", "cuda:1", "GPU-cd"),
    ],
)
def test_energy_is_read_from_the_visible_gpu(
    visible: str | None, device: str, handle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver({handle: 12.5}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert EnergyMeter(device).read() == pytest.approx(12.5)


def test_gpu_without_an_energy_counter_gives_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise NVMLError("not supported")

    monkeypatch.setitem(sys.modules, "pynvml", driver({}, nvmlDeviceGetTotalEnergyConsumption=fail))
    assert EnergyMeter("cuda").read() is None
    monkeypatch.setitem(sys.modules, "pynvml", driver({"index 0": 1.0}))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert EnergyMeter("cuda").read() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert EnergyMeter("cuda").read() is None
