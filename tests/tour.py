"""Executes docs/tour.ipynb, for ``make tour`` and its test, and leaves out what differs each time."""

import argparse
import re
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.making import HUNG_SECONDS

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(notebook: NotebookNode) -> None:
    """Run all cells, in place, in a new kernel of this interpreter.

    Raises:
        CellExecutionError: If a cell raises.
    """
    this_interpreter = KernelSpecManager(kernel_dirs=[])  # not one that the user has installed as `python3`
    NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=this_interpreter, transport="ipc"),
        timeout=HUNG_SECONDS,
        startup_timeout=HUNG_SECONDS,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(ROOT)}},
    ).execute(cleanup_kc=True)  # shut the kernel down
    notebook.metadata = nbformat.from_dict(METADATA)  # not the versions of Python and of the kernel
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            text = output.get("data", {}).get("text/plain")
            if text is not None:
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the tour, and write it.")
    parser.add_argument("target", type=Path, nargs="?", default=NOTEBOOK, help="default: in place")
    target = parser.parse_args().target
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    execute(notebook)
    nbformat.write(notebook, target)


if __name__ == "__main__":
    main()
