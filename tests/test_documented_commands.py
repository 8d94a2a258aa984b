"""What documents show works: commands with their options, links, and the submission in README."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench.cli import build_app
from tests.making import bench

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
APP: Any = typer.main.get_command(build_app())


def shown() -> Iterator[tuple[str, str]]:
    """File and command line."""
    for path in DOCUMENTS:
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


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        other = path if not file else (path.parent / file).resolve()
        assert other.exists(), f"{path.name}: {target}"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other.read_text()), f"{path.name}: {target}"


def test_the_submission_in_readme_verifies(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 35
    folder = tmp_path / "my_net"
    folder.mkdir()
    (folder / "model.py").write_text(code)
    (folder / "submission.yaml").write_text("track: cifar100-classification\n")
    done = bench("verify", folder, "--device", "cpu")
    assert done.returncode == 0 and "bit-identical resume from a checkpoint" in done.stdout, done.stdout


def test_the_example_of_the_python_interface_names_what_there_is() -> None:
    import bench as package

    text = (ROOT / "docs" / "python.md").read_text()
    assert set(re.findall(r"`bench\.(\w+)`", text)) <= set(dir(package))
    for name in set(package.__all__) - {"Batch", "Budget", "Classifier", "DataSpec", "Generator", "Summary"}:
        assert name in text
