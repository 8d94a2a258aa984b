"""What a phase may use and see; the sandbox is looked at from inside."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.harness.executors.limits import Limits, Watch, default_memory, parse_duration, parse_memory
from bench.harness.executors.sandbox import (
    BUBBLEWRAP,
    NO_SANDBOX,
    choose_sandbox,
    sandbox_command,
    why_unusable,
    without_secrets,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("800M", 800 * 2**20), ("4G", 2**32), ("4GiB", 2**32), ("0.5T", 2**39)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "soon", "-3s", "0", "3 weeks", "1e9s"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        parse_duration(text)
    with pytest.raises(UsageError, match="--memory"):
        parse_memory(text)


def test_runs_side_by_side_share_the_memory() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.4 * total < default_memory(2) < 0.5 * total


def watch(code: str, limits: Limits) -> str | None:
    """The status with which a process that runs ``code`` has to end."""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        looking = Watch(process.pid, "train", limits)
        try:
            for _ in range(100):
                time.sleep(0.1)
                failure = looking.exceeded()
                if failure is not None:
                    return failure.status
                if process.poll() is not None:
                    return None
            return "it was not ended"
        finally:
            process.kill()


def test_a_watch_sees_time_memory_and_threads_of_children_too() -> None:
    nap = "import time; time.sleep(30)"
    assert watch(nap, Limits(seconds=0.5)) == "timeout"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(2**28); {nap}'])"
    assert watch(child, Limits(memory_bytes=2**27)) == "oom"
    assert watch(child, Limits(seconds=3.0, memory_bytes=2**30)) == "timeout"
    start = "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()"
    many = f"import threading, time; [{start} for _ in range(40)]; {nap}"
    assert watch(many, Limits(threads=20)) == "limit"
    assert watch("pass", Limits(seconds=60, memory_bytes=2**30)) is None


@pytest.fixture
def walled() -> None:
    reason = why_unusable()
    if reason is not None:
        pytest.skip(reason)


def inside(code: str, tmp_path: Path, **environment: str) -> object:
    """What ``code`` prints as JSON in a sandbox that may write to one folder and read another."""
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "given").mkdir(exist_ok=True)
    (tmp_path / "given" / "file").write_text("given")
    (tmp_path / "secret").write_text("secret")
    command = sandbox_command(
        [sys.executable, "-c", f"import json, os; {code}"],
        writable=[tmp_path / "work"],
        readable=[tmp_path / "given"],
    )
    variables = without_secrets({**os.environ, **environment})
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_sees_what_it_is_given_and_writes_where_it_may(walled: None, tmp_path: Path) -> None:
    code = (
        f"open('{tmp_path}/work/made', 'w').write('x'); "
        f"print(json.dumps([open('{tmp_path}/given/file').read(), os.path.exists('{tmp_path}/secret'), "
        f"os.access('{tmp_path}/given', os.W_OK), os.listdir('{tmp_path}')]))"
    )
    read, sees_secret, may_write, listing = inside(code, tmp_path)  # type: ignore[misc]
    assert read == "given" and not sees_secret and not may_write and sorted(listing) == ["given", "work"]
    assert (tmp_path / "work" / "made").read_text() == "x"


def test_it_has_no_network_no_neighbours_and_no_keys(walled: None, tmp_path: Path) -> None:
    code = (
        "import socket; pids = [p for p in os.listdir('/proc') if p.isdigit()]; "
        "found = [os.environ.get(name) for name in ('A_TOKEN', 'BENCH_DATA', 'HOME')]; "
        "print(json.dumps([len(pids), socket.if_nameindex(), *found]))"
    )
    pids, interfaces, token, data, home = inside(code, tmp_path, A_TOKEN="x", BENCH_DATA="/d")  # type: ignore[misc]
    assert pids <= 3 and [name for _, name in interfaces] == ["lo"]
    assert token is None and data is None and home == "/tmp/home"


def test_walls_through_which_no_gpu_is_reached_are_none_for_it(walled: None) -> None:
    reason = why_unusable(devices=True)
    assert choose_sandbox("auto", "cuda") == (BUBBLEWRAP if reason is None else NO_SANDBOX)
    if reason is not None:
        assert "the GPU is not usable inside the sandbox" in reason
        with pytest.raises(UsageError, match="--sandbox bwrap: bwrap does not work here"):
            choose_sandbox("bwrap", "cuda")


def test_which_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_sandbox("none") == NO_SANDBOX
    assert choose_sandbox("auto") == (BUBBLEWRAP if why_unusable() is None else NO_SANDBOX)
    with pytest.raises(UsageError, match="--sandbox 'docker': give auto, bwrap or none"):
        choose_sandbox("docker")
    monkeypatch.setenv("PATH", "/nowhere")
    why_unusable.cache_clear()
    try:
        assert choose_sandbox("auto") == NO_SANDBOX
        with pytest.raises(UsageError, match="bwrap is not installed, e.g. apt-get install bubblewrap"):
            choose_sandbox("bwrap")
    finally:
        why_unusable.cache_clear()


def test_where_several_share_a_gpu_what_they_share_it_by_is_seen(
    walled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVIDIA's MPS: a socket in a folder, and memory that its clients share with it."""
    pipe = tmp_path / "mps"
    code = f"import json, os; print(json.dumps([os.path.isdir('{pipe}'), os.readlink('/proc/self/ns/ipc')]))"

    def looked(devices: bool) -> list[Any]:
        command = sandbox_command([sys.executable, "-c", code], writable=[], readable=[], devices=devices)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: list[Any] = json.loads(done.stdout)
        return found

    outside = str(Path("/proc/self/ns/ipc").readlink())
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(pipe))
    absent, ipc = looked(devices=True)
    assert not absent and ipc != outside  # it does not run: nothing is shared
    pipe.mkdir()
    assert looked(devices=True) == [True, outside]
    sees, ipc = looked(devices=False)
    assert not sees and ipc != outside
