"""Nothing that a phase starts outlives it, and nothing else is touched."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.harness.executors.process_tree import adopt_orphans, end_process_tree, start_process_tree

FAMILY = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])                          # in the group
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)  # left the group
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:                                                                            # and the family
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
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == str(tmp_path) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_all_of_it_ends_and_the_neighbour_goes_on(tmp_path: Path) -> None:
    adopt_orphans()
    neighbour = start(tmp_path, "neighbour", "import time; time.sleep(600)")
    phase = start(tmp_path, "phase", FAMILY)
    deadline = time.monotonic() + 60
    while b"ready" not in (tmp_path / "phase").read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(marked(tmp_path)) == 5
    end_process_tree(phase)
    assert marked(tmp_path) == [neighbour.pid] and neighbour.poll() is None
    end_process_tree(neighbour)
    assert marked(tmp_path) == []
