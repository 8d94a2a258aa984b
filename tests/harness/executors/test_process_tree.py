"""Ending a phase ends every process that it started, and no other process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.harness.executors.process_tree import adopt_orphans, end_process_tree, start_process_tree

DESCENDANTS = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])                          # same group
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)  # another group
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:                                                                            # orphaned daemon
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
    os._exit(0)
os.wait()
print("ready", flush=True)
time.sleep(600)
"""


def start(tmp_path: Path, name: str, code: str) -> "subprocess.Popen[bytes]":
    reader, writer = os.pipe()
    with (tmp_path / name).open("wb") as log:
        process = start_process_tree(
            [sys.executable, "-c", code], log, {**os.environ, "MARK": str(tmp_path)}, writer
        )
    os.close(reader)
    os.close(writer)
    return process


def marked(tmp_path: Path) -> list[int]:
    """Return the processes of this test, which have ``tmp_path`` in their environment."""
    pids = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == str(tmp_path) and process.status() != psutil.STATUS_ZOMBIE:
                pids.append(process.pid)
        except psutil.Error:
            continue
    return pids


def test_whole_process_tree_ends_and_other_processes_continue(tmp_path: Path) -> None:
    adopt_orphans()
    unrelated = start(tmp_path, "unrelated", "import time; time.sleep(600)")
    phase = start(tmp_path, "phase", DESCENDANTS)
    deadline = time.monotonic() + 60
    while b"ready" not in (tmp_path / "phase").read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(marked(tmp_path)) == 5
    end_process_tree(phase)
    assert marked(tmp_path) == [unrelated.pid] and unrelated.poll() is None
    end_process_tree(unrelated)
    assert marked(tmp_path) == []
