"""Build the documentation site: ``python -m docs.site [FOLDER]``, by default in build/docs, like ``make docs``.

The first step writes FOLDER/pages: documents with rewritten links (``documents``), notebooks as Markdown
(``notebooks``), and references generated from commands and code (``commands``, ``reference``). Zensical, chosen in
zensical.toml, then renders FOLDER/site. A warning is an error.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.commands import commands_page
from docs.site.documents import ROOT, documents, write_documents
from docs.site.notebooks import write_notebook
from docs.site.reference import reference_pages

HERE = Path(__file__).resolve().parent


def build(folder: Path) -> Path:
    """Replace ``folder`` by a new build of the site, and return the path of its home page.

    Raises:
        SystemExit: If there are warnings; the message has all of them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    write_documents(pages)
    for source, page in documents().items():
        if source.suffix == ".ipynb":
            write_notebook(source, pages / page)
    for name, text in {"commands": commands_page(), **reference_pages()}.items():
        path = pages / "reference" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    shutil.copytree(HERE / "assets", pages / "assets")
    shutil.copy(HERE / "zensical.toml", folder)
    return render(folder)


def render(folder: Path) -> Path:
    """Render ``folder``/pages to ``folder``/site with ``folder``/zensical.toml; see ``build``."""
    config = folder / "zensical.toml"
    # In the repository's root, so that the reference describes this code and not an installed copy.
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    output = re.sub(r"\x1b\[[\d;]*m", "", result.stdout + result.stderr)  # without colours
    if result.returncode or "griffe: " in output:  # --strict does not include warnings about docstrings
        output = re.sub(r"Traceback(?:(?!Traceback).)*--strict flag is set", "", output, flags=re.DOTALL)
        raise SystemExit(f"{output.strip()}\nThe documentation has errors; its pages are in {folder / 'pages'}")
    return folder / "site" / "index.html"


if __name__ == "__main__":
    print("The site:", build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs").resolve()))
