"""The site of the documents: built without a warning, complete, linked, and readable without a network."""

import importlib
import inspect
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag

import pytest
import typer.main

from bench.cli import build_app
from bench.contract.records.record import Cost, Record
from docs.site.__main__ import HERE, build, render
from docs.site.documents import documents, write_page
from docs.site.notebooks import write_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Browser

for tool in ("zensical", "mkdocstrings_handlers.python", "nbconvert"):
    pytest.importorskip(tool, reason="the site's tools are an extra: pip install 'capbench[docs]'")
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
PHONE = {"width": 360, "height": 740}
WIDE = ("index", "leaderboard", "papers", "performance", "reproduction", "submit")  # pages with tables and code


class Page(HTMLParser):
    """Links, loaded files, ids and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.loaded, self.ids, self.words = path, [], [], [], ""
        self.feed(path.read_text())
        self.text = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := values.get(name))]
        self.loaded += [value] if tag in LOADED and (value := values.get(LOADED[tag])) else []
        self.ids += [value] if (value := values.get("id")) else []

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("docs") / "build").parent


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def navigation() -> set[str]:
    """The pages that the navigation names."""

    def targets(entry: Any) -> Iterator[str]:
        for part in entry if isinstance(entry, list) else entry.values():
            yield from [part] if isinstance(part, str) else targets(part)

    return set(targets(tomllib.loads((HERE / "zensical.toml").read_text())["project"]["nav"]))


def test_every_page_is_in_the_navigation(pages: dict[str, Page]) -> None:
    named = {name.removesuffix(".md") + ".html" for name in navigation()}
    unlisted = {name for name in pages if name.startswith("files/")} | {"404.html"}
    assert named == pages.keys() - unlisted, "add it to `nav` in docs/site/zensical.toml"
    assert {name.removesuffix(".md") + ".html" for name in documents().values()} <= named


def test_readme_is_the_home_page(pages: dict[str, Page]) -> None:
    home = pages["index.html"]
    assert "A benchmark harness and reproducibility suite for small image models" in home.text
    linked = {"submit.html", "leaderboard.html", "contributing.html", "pictures/dcgan_002-seed0.png"}
    assert linked <= set(home.links)


def test_every_link_and_anchor_resolves(site: Path, pages: dict[str, Page]) -> None:
    wrong = []
    for name, page in pages.items():
        if name == "404.html":  # its links start at the root of a server
            continue
        for link in page.links:
            if link.startswith(("https://", "mailto:", "data:", "javascript:")):
                continue
            address, anchor = urldefrag(unquote(link))
            target = (page.path.parent / address).resolve() if address else page.path
            other = pages.get(target.relative_to(site.resolve()).as_posix()) if target.is_file() else None
            if not target.is_file() or (anchor and (other is None or anchor not in other.ids)):
                wrong.append(f"{name}: {link}")
    assert wrong == []


def test_linked_source_files_have_pages(pages: dict[str, Page]) -> None:
    assert "class Record(Strict)" in pages["files/bench-contract-records-record.py.html"].text
    assert "cifar100-classification.yaml" in pages["files/bench-tracks.html"].text
    assert "cff-version" in pages["files/CITATION.cff.html"].text


def test_no_external_resource_is_loaded(site: Path, pages: dict[str, Page]) -> None:
    elsewhere = [f"{name}: {it}" for name, page in pages.items() for it in page.loaded if "//" in it]
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)", path.read_text())
        elsewhere += [f"{path.name}: {address}" for address in found]
    assert elsewhere == []


def test_lists_are_rendered_as_lists(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        paragraphs = re.findall(r"<p>(.*?)</p>", page.path.read_text(), re.DOTALL)
        unread = [text for text in paragraphs if re.search(r"^(?:[-*|]|\d+\.|#+) ", text, re.MULTILINE)]
        assert unread == [], f"{name}: Markdown that was taken for text"


@pytest.mark.parametrize("module", ["bench", "bench.augment", "reference_models", "bench.errors"])
def test_every_exported_name_is_documented_once(module: str, pages: dict[str, Page]) -> None:
    package = importlib.import_module(module)
    exported = getattr(package, "__all__", None) or [
        name for name, it in vars(package).items() if inspect.isclass(it) and it.__module__ == module
    ]
    assert len(exported) > 5
    count = Counter(one for page in pages.values() for one in page.ids)
    for name in exported:
        assert count[f"{module}.{name}"] == 1, name
        it = getattr(package, name)
        docstring = vars(it).get("__doc__") if inspect.isclass(it) else it.__doc__  # its own, not its base's
        (page,) = [page for page in pages.values() if f"{module}.{name}" in page.ids]
        first = " ".join((docstring or "").strip().split("\n\n")[0].replace("`", "").split())
        assert first or name == "ExitCode", name
        assert first in page.text, name


def test_comments_of_fields_are_rendered(pages: dict[str, Page]) -> None:
    text = pages["reference/record.html"].text
    for model in (Record, Cost):
        assert all(re.search(rf"\b{field}\b", text) for field in model.model_fields)
    for meaning in (
        "params int counted against the cap: distinct, trainable, discriminator included",  # beside the field
        "sha256 of the canonical JSON of all other fields",  # of pydantic's Field
        "status Status ok, pruned, cap,",  # of a Literal
        "cost Cost | None Cost of a submission, measured before training.",  # of another class
    ):
        assert meaning in text


def test_every_visible_command_is_documented(pages: dict[str, Page]) -> None:
    page = pages["reference/commands.html"]
    app: Any = typer.main.get_command(build_app())
    commands = {f"bench-{name}": command for name, command in app.commands.items() if not command.hidden}
    commands |= {f"bench-data-{name}": one for name, one in commands.pop("bench-data").commands.items()}
    assert len(commands) > 20
    assert {one for one in page.ids if one.startswith("bench-")} == commands.keys()
    sections = re.split(r"<h3 id=\"?(bench-[\w-]+)\"?", page.path.read_text())
    text = dict(zip(sections[1::2], sections[2::2], strict=True))
    for name, command in commands.items():
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts]
            assert all(re.search(rf"{option}(?![\w-])", text[name]) for option in names), f"{name}: {names}"


def test_links_in_code_are_not_rewritten(tmp_path: Path) -> None:
    source = HERE.parent / "submit.md"
    text = "Fields:\n- [run](run.md#data)\n\n```\n[a](../README.md)\n```\n[b](../README.md)\n"
    write_page(text, source, tmp_path / "one" / "page.md", tmp_path)
    expected = "Fields:\n\n- [run](../run.md#data)\n\n```\n[a](../README.md)\n```\n[b](../index.md)\n"
    assert (tmp_path / "one" / "page.md").read_text() == expected


@pytest.mark.parametrize("link", ["../nowhere.md", "../../elsewhere.md"])
def test_broken_link_to_a_file_is_an_error(link: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="which does not exist"):
        write_page(f"[lost]({link})\n", HERE.parent / "submit.md", tmp_path / "page.md", tmp_path)


def test_notebook_is_rendered_with_its_outputs(tmp_path: Path) -> None:
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo="}}
    printed = {"output_type": "stream", "name": "stdout", "text": ["\x1b[32m4\x1b[0m\n"]}
    code = {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "print(2 + 2)"}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title\n\n[here](#title)"},
        {**code, "outputs": [printed, picture]},
    ]
    language = {"language_info": {"name": "python"}}
    source = tmp_path / "tour.ipynb"
    source.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": language, "cells": cells}))
    write_notebook(source, tmp_path / "pages" / "tour.md")
    text = (tmp_path / "pages" / "tour.md").read_text()
    assert text.startswith("# Title") and "```python\nprint(2 + 2)\n```" in text and "````text\n4\n````" in text
    (file,) = re.findall(r"!\[png\]\((.*?)\)", text)
    assert (tmp_path / "pages" / file).is_file()


def test_broken_link_to_a_page_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("# Home\n\n[lost](nowhere.md)\n")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "x"\ndocs_dir = "pages"\n')
    with pytest.raises(SystemExit, match="does not exist"):
        render(tmp_path)


@pytest.mark.browser
def test_pages_fit_a_phone_without_errors_or_requests(site: Path, browser: "Browser") -> None:
    page = browser.new_page(viewport=PHONE, color_scheme="dark")  # type: ignore[arg-type]
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    for name in (*WIDE, "reference/commands", "reference/models", "reference/record"):
        page.goto((site / f"{name}.html").as_uri())
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            complaints.append(f"{name}: is too wide")
    page.close()
    assert complaints == []
    assert len(asked) > 20 and all(url.startswith(("file://", "data:", "blob:")) for url in asked)


@pytest.mark.browser
def test_search_works_from_the_file_system(site: Path, browser: "Browser") -> None:
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type("cutmix")
    page.get_by_text("bench.augment.cutmix").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/reference/augment.html*#bench.augment.cutmix")
    page.close()
