"""Background load: arithmetic on made-up CPU counters, and a real busy process."""

import os
import subprocess
import sys
import time
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest

from bench.measure.speed.background_load import BackgroundLoad

Counters = namedtuple("Counters", "user system idle iowait steal guest")  # as psutil's on Linux, in seconds


@pytest.mark.parametrize(
    ("later", "own", "share"),
    [
        (Counters(user=108, system=52, idle=1010, iowait=0, steal=0, guest=0), (8.0, 2.0), 0.0),
        (Counters(user=105, system=50, idle=1015, iowait=0, steal=0, guest=0), (0.0, 0.0), 0.25),
        (Counters(user=110, system=50, idle=1010, iowait=0, steal=0, guest=0), (4.0, 1.0), 0.25),
        (Counters(user=100, system=50, idle=1005, iowait=10, steal=5, guest=0), (0.0, 0.0), 0.25),
        (Counters(user=105, system=50, idle=1015, iowait=0, steal=0, guest=5), (0.0, 0.0), 0.25),
        (Counters(user=104, system=50, idle=1016, iowait=0, steal=0, guest=0), (4.5, 0.0), 0.0),
        (Counters(user=100, system=50, idle=1000, iowait=0, steal=0, guest=0), (0.0, 0.0), 0.0),
    ],
    ids=[
        "all by this process",
        "all by other processes",
        "half by this process",
        "stolen by the hypervisor",
        "guest time is user time",
        "own time above the counters, by the clock resolution",
        "no time passed",
    ],
)
def test_share_is_relative_to_all_processors(
    later: Counters, own: tuple[float, float], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = iter([Counters(user=100, system=50, idle=1000, iowait=0, steal=0, guest=0), later])
    process = iter(
        [SimpleNamespace(user=7.0, system=3.0), SimpleNamespace(user=7.0 + own[0], system=3.0 + own[1])]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(machine))
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(cpu_times=lambda: next(process)))
    assert BackgroundLoad().share() == pytest.approx(share)


def test_busy_process_is_measured() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        used = psutil.Process(busy.pid)
        load, before, started = BackgroundLoad(), sum(used.cpu_times()[:2]), time.monotonic()
        time.sleep(1.0)
        busy_seconds, seconds = sum(used.cpu_times()[:2]) - before, time.monotonic() - started
        cores = os.cpu_count()
        assert cores is not None
        # At least the CPU time of that process, up to the clock's resolution of 0.01 s.
        assert load.share() >= (busy_seconds - 0.05) / (1.05 * seconds * cores)
    finally:
        busy.kill()
        busy.wait()
