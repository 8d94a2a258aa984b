"""Documents as pages of the site, with links rewritten to other pages."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {  # documents outside docs/, and their pages
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "results/LEADERBOARD.md": "leaderboard.md",
}
LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".cff": "yaml", ".toml": "toml", ".json": "json"}
PICTURES = {".png", ".svg", ".jpg"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
LIST_AFTER_TEXT = re.compile(r"^(\w.*:\n)([-*] )", re.MULTILINE)  # Python-Markdown wants a blank line between them
FENCE = re.compile(r"^ *(```+|~~~+)")


def documents() -> dict[Path, str]:
    """Return file -> name of the page of each document."""
    inside = sorted(path for kind in ("*.md", "*.ipynb") for path in (ROOT / "docs").glob(kind))
    return {
        **{ROOT / source: page for source, page in OUTSIDE.items()},
        **{source: source.with_suffix(".md").name for source in inside},
    }


def write_documents(pages: Path) -> None:
    """Write all Markdown documents to ``pages``, with the pictures and source files that they link to."""
    for source, page in documents().items():
        if source.suffix == ".md":
            write_page(source.read_text(), source, pages / page, pages)


def write_page(text: str, source: Path, page: Path, pages: Path) -> None:
    """Write ``text``, the Markdown of ``source``, to ``page``, with rewritten links."""
    page.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if code else _relink(line, source, page, pages) for line, code in _lines(text)]
    page.write_text(LIST_AFTER_TEXT.sub(r"\1\n\2", "".join(lines)))


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line and whether it belongs to a code block."""
    fence = ""
    for line in text.splitlines(keepends=True):
        match = FENCE.match(line)
        yield line, bool(fence or match)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence):
            fence = ""


def _relink(line: str, source: Path, page: Path, pages: Path) -> str:
    def target(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match[1].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        file = (source.parent / path).resolve()
        if not file.exists() and file.is_relative_to(source.parent):
            return match[
                0
            ]  # a notebook's picture, which is written later; Zensical checks all links without "../"
        if not file.exists() or not file.is_relative_to(ROOT):
            raise SystemExit(f"{source}: links to {match[1]}, which does not exist")
        linked = os.path.relpath(_page_of(file, pages), page.parent)
        return f"]({linked}{hash_sign}{anchor})"

    return LINK.sub(target, line)


def _page_of(file: Path, pages: Path) -> Path:
    """Return the page or copy of ``file`` on the site; create it unless ``file`` is a document."""
    document = documents().get(file)
    if document is not None:
        return pages / document
    name = file.relative_to(ROOT).as_posix()
    if file.suffix in PICTURES:
        copy = pages / name.removeprefix("docs/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
        return copy
    page = pages / "files" / f"{name.strip('.').replace('/', '-')}.md"
    if not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_file_page(file, name))
    return page


def _file_page(file: Path, name: str) -> str:
    """Return a page that shows a file, or the files of a folder, since there is no repository URL to link to."""
    files = sorted(path for path in file.iterdir() if path.is_file()) if file.is_dir() else [file]
    text = f"---\ntitle: {name}\nsearch:\n  exclude: true\n---\n\n# `{name}`\n"
    text += "\nThe file at the time when this site was built.\n"
    for path in files:
        heading = f"\n## `{path.name}`\n" if file.is_dir() else ""
        content = path.read_text().rstrip("\n")
        text += f"{heading}\n````{LANGUAGES.get(path.suffix, 'text')}\n{content}\n````\n"
    return text
