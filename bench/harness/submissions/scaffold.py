"""``bench new``: write a template submission, which passes verification unchanged."""

from importlib.resources import files
from pathlib import Path

from bench.contract.manifest import check_name
from bench.errors import UsageError
from bench.files import write_bytes
from bench.text import one_line

TRACKS = {"classification": "cifar100-classification", "generation": "cifar100-generation"}


def scaffold(name: str, task: str, folder: Path) -> Path:
    """Write ``folder/name`` with a manifest and a small working model.

    Raises:
        UsageError: If the name or task is invalid, or the folder exists or cannot be written.
    """
    if (reason := check_name(name)) is not None:
        raise UsageError(f"{one_line(name, 60)!r}: {reason}")
    if task not in TRACKS:
        raise UsageError(f"--task {task!r}: give {' or '.join(TRACKS)}")
    target = folder / name
    if target.exists():
        raise UsageError(f"{target}: exists already; choose another name")
    template = files("bench.harness.submissions") / "templates" / f"{task}.py.txt"
    manifest = (
        f"track: {TRACKS[task]}\n"
        "summary: One line that describes the method\n"
        "# paper: {title: ..., authors: [...], year: 2026, url: ...}\n"
        "# claims: {params: ..., top1_accuracy: ...}\n"
        "# ablations:\n"
        "#   slow: {what: half the learning rate, set: {learning_rate: 0.0005}}\n"
        "notes: []\n"
    )
    try:
        write_bytes(target / "submission.yaml", manifest.encode())
        write_bytes(target / "model.py", template.read_bytes())
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror})") from None
    return target
