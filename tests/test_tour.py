"""docs/tour.ipynb runs, and what it shows is what its code gives."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"
NEEDED = ("nbclient", "ipykernel", "pandas", "matplotlib")
MISSING = [name for name in NEEDED if find_spec(name) is None]
VARIES = "varies"  # tag of a cell whose output depends on the machine or the time of day
A_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|tmp|var|usr|opt|work|mnt|Users)\b|[A-Z]:\\|file://")


def code_cells(path: Path = NOTEBOOK) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def outputs(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Its outputs, without what libraries say on stderr, such as that a cache of fonts is built."""
    return [output for output in cell["outputs"] if output.get("name") != "stderr"]


def shown_text(cell: dict[str, Any]) -> str:
    """All text that a cell shows; pictures are left out."""
    parts = []
    for output in outputs(cell):
        parts.append("".join(output.get("text", ())))
        parts += ["".join(text) for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(parts)


def kinds(cell: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(output["output_type"], sorted(output.get("data", ()))) for output in outputs(cell)]


def test_cells_were_executed_in_order() -> None:
    counts = [cell["execution_count"] for cell in code_cells()]
    assert counts == list(range(1, len(counts) + 1)), "`make tour` executes it"


def test_outputs_have_no_errors_warnings_or_local_paths() -> None:
    for cell in code_cells():
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr", cell["id"]
        text = shown_text(cell)
        assert not A_PATH.search(text) and "\x1b" not in text and "\r" not in text, cell["id"]


def test_file_is_small_without_volatile_metadata() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert set(notebook["metadata"]["language_info"]) == {"name"}
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    pictures = [
        o["data"]["image/png"] for c in code_cells() for o in c["outputs"] if "image/png" in o.get("data", ())
    ]
    assert len(pictures) == 2 and sum(map(len, pictures)) * 3 / 4 < 100_000  # base64
    assert NOTEBOOK.stat().st_size < 200_000


@pytest.mark.processes
@pytest.mark.skipif(
    bool(MISSING), reason=f"needs {', '.join(MISSING)}; `pip install 'capbench[dev,frame,report]'`"
)
def test_execution_reproduces_the_committed_outputs(tmp_path: Path) -> None:
    # In a process of its own: sockets and event loops of the kernel's client are none of pytest's.
    command = [sys.executable, "-m", "tests.tour", str(tmp_path / "tour.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    committed, fresh = code_cells(), code_cells(tmp_path / "tour.ipynb")
    assert [cell["execution_count"] for cell in fresh] == [cell["execution_count"] for cell in committed]
    compared = 0
    for before, now in zip(committed, fresh, strict=True):
        assert kinds(now) == kinds(before), before["id"]
        if VARIES not in before["metadata"].get("tags", ()):
            assert shown_text(now) == shown_text(before), f"{before['id']}: `make tour` renews it"
            compared += bool(before["outputs"])
    assert compared >= 4  # written files, the cost, the reason of a refusal, the official table
