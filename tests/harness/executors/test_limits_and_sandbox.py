"""Limits of a phase, and the sandbox as a process inside sees it."""

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
def test_durations_are_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("800M", 800 * 2**20), ("4G", 2**32), ("4GiB", 2**32), ("0.5T", 2**39)]
)
def test_memory_sizes_are_parsed(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "soon", "-3s", "0", "3 weeks", "1e9s"])
def test_invalid_durations_and_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        parse_duration(text)
    with pytest.raises(UsageError, match="--memory"):
        parse_memory(text)


def test_parallel_runs_share_90_percent_of_the_memory() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.4 * total < default_memory(2) < 0.5 * total


def status_under_limits(code: str, limits: Limits) -> str | None:
    """Run ``code`` in a process and return the status of the exceeded limit, or None if it ends by itself."""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        watch = Watch(process.pid, "train", limits)
        try:
            for _ in range(100):
                time.sleep(0.1)
                failure = watch.exceeded()
                if failure is not None:
                    return failure.status
                if process.poll() is not None:
                    return None
            return "it was not ended"
        finally:
            process.kill()


def test_limits_include_memory_and_threads_of_child_processes() -> None:
    sleep = "import time; time.sleep(30)"
    assert status_under_limits(sleep, Limits(seconds=0.5)) == "timeout"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(2**28); {sleep}'])"
    assert status_under_limits(child, Limits(memory_bytes=2**27)) == "oom"
    assert status_under_limits(child, Limits(seconds=3.0, memory_bytes=2**30)) == "timeout"
    start = "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()"
    many = f"import threading, time; [{start} for _ in range(40)]; {sleep}"
    assert status_under_limits(many, Limits(threads=20)) == "limit"
    assert status_under_limits("pass", Limits(seconds=60, memory_bytes=2**30)) is None


@pytest.fixture
def sandbox() -> None:
    reason = why_unusable()
    if reason is not None:
        pytest.skip(reason)


def inside(code: str, tmp_path: Path, **environment: str) -> object:
    """Run ``code`` in a sandbox with one writable and one readable folder; return the JSON that it prints."""
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "readable").mkdir(exist_ok=True)
    (tmp_path / "readable" / "file").write_text("readable")
    (tmp_path / "secret").write_text("secret")
    command = sandbox_command(
        [sys.executable, "-c", f"import json, os; {code}"],
        writable=[tmp_path / "work"],
        readable=[tmp_path / "readable"],
    )
    variables = without_secrets({**os.environ, **environment})
    result = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_sandbox_shows_only_readable_and_writable_folders(sandbox: None, tmp_path: Path) -> None:
    code = (
        f"open('{tmp_path}/work/made', 'w').write('x'); "
        f"print(json.dumps([open('{tmp_path}/readable/file').read(), os.path.exists('{tmp_path}/secret'), "
        f"os.access('{tmp_path}/readable', os.W_OK), os.listdir('{tmp_path}')]))"
    )
    read, sees_secret, may_write, listing = inside(code, tmp_path)  # type: ignore[misc]
    assert read == "readable" and not sees_secret and not may_write and sorted(listing) == ["readable", "work"]
    assert (tmp_path / "work" / "made").read_text() == "x"


def test_sandbox_hides_network_other_processes_and_secrets(sandbox: None, tmp_path: Path) -> None:
    code = (
        "import socket; pids = [p for p in os.listdir('/proc') if p.isdigit()]; "
        "found = [os.environ.get(name) for name in ('A_TOKEN', 'BENCH_DATA', 'HOME')]; "
        "print(json.dumps([len(pids), socket.if_nameindex(), *found]))"
    )
    pids, interfaces, token, data, home = inside(code, tmp_path, A_TOKEN="x", BENCH_DATA="/d")  # type: ignore[misc]
    assert pids <= 3 and [name for _, name in interfaces] == ["lo"]
    assert token is None and data is None and home == "/tmp/home"


def test_sandbox_is_not_used_for_a_gpu_that_it_hides(sandbox: None) -> None:
    reason = why_unusable(devices=True)
    assert choose_sandbox("auto", "cuda") == (BUBBLEWRAP if reason is None else NO_SANDBOX)
    if reason is not None:
        assert "the GPU is not usable inside the sandbox" in reason
        with pytest.raises(UsageError, match="--sandbox bwrap: bwrap does not work here"):
            choose_sandbox("bwrap", "cuda")


def test_sandbox_is_chosen_by_option_and_availability(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(("setting", "restricts"), [("1\n", True), ("0\n", False), (None, False)])
def test_refusal_of_user_namespaces_by_apparmor_is_named(
    setting: str | None, restricts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, file = tmp_path / "bwrap", tmp_path / "restricts"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    if setting is not None:
        file.write_text(setting)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("bench.harness.executors.sandbox.APPARMOR_SETTING", file)
    why_unusable.cache_clear()
    try:
        reason = why_unusable()
    finally:
        why_unusable.cache_clear()
    assert reason is not None and "setting up uid map: Permission denied" in reason
    assert ("AppArmor restricts user namespaces here; docs/reliability.md" in reason) == restricts


def test_sandbox_shares_the_mps_pipe_and_ipc_with_gpu_runs(
    sandbox: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of NVIDIA's MPS need the folder with its socket, and memory shared with it."""
    pipe = tmp_path / "mps"
    code = f"import json, os; print(json.dumps([os.path.isdir('{pipe}'), os.readlink('/proc/self/ns/ipc')]))"

    def inside_sandbox(devices: bool) -> list[Any]:
        command = sandbox_command([sys.executable, "-c", code], writable=[], readable=[], devices=devices)
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        seen: list[Any] = json.loads(result.stdout)
        return seen

    outside = str(Path("/proc/self/ns/ipc").readlink())
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(pipe))
    absent, ipc = inside_sandbox(devices=True)
    assert not absent and ipc != outside  # MPS is not running: nothing is shared
    pipe.mkdir()
    assert inside_sandbox(devices=True) == [True, outside]
    sees, ipc = inside_sandbox(devices=False)
    assert not sees and ipc != outside
