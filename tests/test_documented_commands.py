"""Every command that README and the workflows show exists, with every option that they give it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench.cli import build_app

ROOT = Path(__file__).resolve().parents[1]
APP: Any = typer.main.get_command(build_app())


def shown() -> Iterator[tuple[str, str]]:
    """File and command line."""
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"```\n(.*?)```", path.read_text(), re.DOTALL):
            yield from (
                (path.name, line.split("#")[0]) for line in block.splitlines() if line.startswith("bench ")
            )
        yield from ((path.name, line) for line in re.findall(r"`(bench [a-z][^`]*)`", path.read_text()))
    for path in (*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / ".ci" / "run"):
        for line in re.findall(r"(?:^|[ /])(bench [a-z][^|>&\n]*)", path.read_text().replace("-m bench", "bench")):
            yield path.name, line


COMMANDS = sorted(set(shown()))


def test_there_are_some() -> None:
    files = {name for name, _ in COMMANDS}
    assert {"README.md", "ci.yml", "leaderboard.yml", "run"} <= files and len(COMMANDS) > 30


@pytest.mark.parametrize(("file", "line"), COMMANDS, ids=lambda value: str(value)[:60])
def test_it_exists(file: str, line: str) -> None:
    words = line.replace("\n", " ").split()[1:]
    command = APP.commands[words[0]]
    if words[0] == "data" and len(words) > 1:
        command = command.commands[words[1]]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
    assert given <= options, f"{file}: {line}"
