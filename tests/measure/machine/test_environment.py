"""A record's environment is JSON and has no name of a person, machine or folder."""

import getpass
import json
import platform
import socket
from importlib.metadata import version
from pathlib import Path

from bench.measure.machine.environment import capture_environment, peak_memory_bytes


def test_environment_has_versions_and_the_device() -> None:
    environment = capture_environment("cpu")
    assert environment["packages"]["torch"] == version("torch")
    assert environment["python"] == platform.python_version()
    assert environment["device_type"] == "cpu" and environment["threads"] >= 1
    assert json.loads(json.dumps(environment, allow_nan=False)) == environment


def test_environment_has_no_names_of_people_machines_or_folders() -> None:
    text = json.dumps(capture_environment("cpu"))
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_peak_memory_grows_with_use() -> None:
    before = peak_memory_bytes("cpu")
    block = bytearray(before + (64 << 20))  # more than the peak so far
    assert peak_memory_bytes("cpu") >= len(block)
