"""A record's environment is JSON, honest about what it cannot know, and tells nothing of the person."""

import getpass
import json
import platform
import socket
from importlib.metadata import version
from pathlib import Path

from bench.measure.machine.environment import capture_environment, peak_memory_bytes


def test_what_it_says() -> None:
    found = capture_environment("cpu")
    assert found["packages"]["torch"] == version("torch")
    assert found["python"] == platform.python_version()
    assert found["device_type"] == "cpu" and found["threads"] >= 1
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_no_names_of_people_machines_or_folders() -> None:
    text = json.dumps(capture_environment("cpu"))
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_peak_memory_grows_with_use() -> None:
    before = peak_memory_bytes("cpu")
    block = bytearray(before + (64 << 20))  # more than was ever resident
    assert peak_memory_bytes("cpu") >= len(block)
