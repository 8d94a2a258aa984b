"""CPU and memory limits of a container, from the cgroup files (versions 1 and 2) of Docker and Kubernetes."""

from pathlib import Path

import pytest

from bench.harness.executors import limits
from bench.harness.planning import devices
from bench.measure.machine import environment
from bench.measure.machine.container import memory_bytes, processors

GIB = 2**30


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


NESTED = "sys/fs/cgroup/kubepods.slice/pod1"
V1 = "7:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
SYSTEMS = {
    "version 2": (
        "0::/\n",
        {"sys/fs/cgroup/cpu.max": "50000 100000\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"},
    ),
    "version 2, limits of parent groups": (
        "0::/kubepods.slice/pod1/container\n",
        {
            f"{NESTED}/container/cpu.max": "max 100000\n",
            f"{NESTED}/container/memory.max": "max\n",
            f"{NESTED}/cpu.max": "50000 100000\n",
            f"{NESTED}/memory.max": f"{4 * GIB}\n",
            "sys/fs/cgroup/kubepods.slice/memory.max": f"{GIB}\n",
        },
    ),
    "version 1": (
        V1,
        {
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "25000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "50000\n",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{GIB}\n",
        },
    ),
    "version 1, seen from inside the container": (
        V1,
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
        },
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_limits_are_read_from_cgroup_files(tmp_path: Path, name: str) -> None:
    root = system(tmp_path, *SYSTEMS[name])
    assert (processors(root), memory_bytes(root)) == (0.5, GIB)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"sys/fs/cgroup/cpu.max": "max 100000", "sys/fs/cgroup/memory.max": "max"},
        {"sys/fs/cgroup/cpu.max": "", "sys/fs/cgroup/memory.max": "?"},
        {"sys/fs/cgroup/cpu.max": "-1 0", "sys/fs/cgroup/memory.max": "0"},
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        },
    ],
)
def test_unlimited_or_invalid_cgroup_files_give_no_limit(tmp_path: Path, files: dict[str, str]) -> None:
    root = system(tmp_path, "0::/\n3:cpu:/\n2:memory:/\n", files)
    assert (processors(root), memory_bytes(root)) == (None, None)
    assert processors(tmp_path / "nowhere") is None


@pytest.mark.parametrize(("limit", "cores"), [(0.5, 1), (1.0, 1), (2.5, 2), (1000.0, None), (None, None)])
def test_default_cores_and_memory_respect_the_limits(
    monkeypatch: pytest.MonkeyPatch, limit: float | None, cores: int | None
) -> None:
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    monkeypatch.setattr(devices, "processors", lambda: limit)
    assert devices.usable_cores() == (4 if cores is None else cores)
    monkeypatch.setattr(limits, "memory_bytes", lambda: GIB)
    assert limits.default_memory(2) == int(0.45 * GIB)


def test_machine_description_has_the_container_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("processors", 0.5), ("memory_bytes", None)):
        monkeypatch.setattr(environment, name, lambda value=value: value)
    assert environment.capture_machine()["container"] == {"processors": 0.5, "memory_bytes": None}
    monkeypatch.setattr(environment, "processors", lambda: None)
    assert "container" not in environment.capture_machine()
