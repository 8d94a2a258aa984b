"""Documents stay valid: commands and their options, links, Python names, and the submission in README."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench.cli import build_app
from tests.making import bench

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs" / "tour.ipynb",
]
APP: Any = typer.main.get_command(build_app())


def text_of(path: Path) -> str:
    """A document's text; of a notebook, without its code."""
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def documented_commands() -> Iterator[tuple[str, str]]:
    """Yield the file name and the line of each `bench` command in documents and CI files."""
    for path in DOCUMENTS:
        for block in re.findall(r"```\n(.*?)```", text_of(path), re.DOTALL):
            lines = [line.split("#")[0] for line in block.splitlines() if line.startswith("bench ")]
            yield from ((path.name, line) for line in lines)
        yield from ((path.name, line) for line in re.findall(r"`(bench [a-z][^`]*)`", text_of(path)))
    for path in (*(ROOT / ".github").rglob("*.yml"), *(ROOT / ".github").rglob("*.sh"), ROOT / ".ci" / "run"):
        for line in re.findall(r"(?:^|[ /])(bench [a-z][^|>&\n]*)", path.read_text().replace("-m bench", "bench")):
            yield path.name, line


COMMANDS = sorted(set(documented_commands()))


def test_commands_are_found_in_documents_and_ci_files() -> None:
    files = {name for name, _ in COMMANDS}
    assert {"README.md", "ci.yml", "leaderboard.yml", "examine.sh", "run"} <= files and len(COMMANDS) > 30


@pytest.mark.parametrize(("file", "line"), COMMANDS, ids=lambda value: str(value)[:60])
def test_documented_command_and_its_options_exist(file: str, line: str) -> None:
    words = line.replace("\n", " ").split()[1:]
    command = APP.commands[words[0]]
    if words[0] == "data" and len(words) > 1:
        command = command.commands[words[1]]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
    assert used <= options, f"{file}: {line}"


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_anchors_resolve(path: Path) -> None:
    text = re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = path if not file else (path.parent / file).resolve()
        assert linked.exists(), f"{path.name}: {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked.read_text()), f"{path.name}: {target}"


def test_readme_submission_verifies(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 35
    folder = tmp_path / "my_net"
    folder.mkdir()
    (folder / "model.py").write_text(code)
    (folder / "submission.yaml").write_text("track: cifar100-classification\n")
    result = bench("verify", folder, "--device", "cpu")
    assert result.returncode == 0 and "bit-identical resume from a checkpoint" in result.stdout, result.stdout


def test_documented_python_names_exist() -> None:
    import bench as package

    text = (ROOT / "docs" / "python.md").read_text()
    assert set(re.findall(r"`bench\.(\w+)`", text)) <= set(dir(package))
    for name in set(package.__all__) - {"Batch", "Budget", "Classifier", "DataSpec", "Generator", "Summary"}:
        assert name in text
