"""Cell text is escaped in every format and stays on one line."""

import csv
import io
from html.parser import HTMLParser

import pytest

from bench.report.tables.render import render
from bench.report.tables.table import Cell, Table
from bench.report.tables.text import FORMATS, grid, heading, remark, table_text

EVIL = "a|b\nc\x1b[31m<script>alert(1)</script> $x_1$ \\end{tabular} 5 < 6 & <b>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.names.append(tag)


@pytest.mark.parametrize("table", [name for name in FORMATS if name not in ("csv", "json")])
def test_cell_text_cannot_break_the_table(table: str) -> None:
    rows = [[Cell(EVIL, best=True), Cell("x")], [Cell("y"), Cell(EVIL * 1_000)]]
    text = table_text(Table(["one", EVIL], rows), table)
    ordinary = grid(["one", "two"], [["a", "x"], ["y", "b"]], table)
    assert len(text.splitlines()) == len(ordinary.splitlines())
    assert "\x1b" not in text and len(text) < 20_000
    if table in ("markdown", "github"):
        assert all(line.replace(r"\|", "").count("|") == 3 for line in text.splitlines())
        assert "<script" not in text and "5 < 6" in text
    if table == "html":
        tags = Tags()
        tags.feed(text)
        assert not {"script", "b"} & set(tags.names)
    if table == "latex":
        assert text.count(r"\end{tabular}") == 1


@pytest.mark.parametrize("table", ["latex", "html", "markdown", "github", "simple"])
def test_text_cannot_forge_bold_marks(table: str) -> None:
    marks = "\ue000\ue000 a \ue001 \ue000\ue000"
    text = table_text(Table(["x"], [[Cell(marks)], [Cell(marks, best=True)]]), table)
    assert "\ue000" not in text and "\ue001" not in text
    assert text.count(r"\textbf{") == (table == "latex") and text.count("<strong>") == (table == "html")


@pytest.mark.parametrize(
    "text",
    [
        "**bold**", "*slanted*", "__bold__", "_slanted_", "~~struck~~", "[click](http://evil.example)",
        "![](http://evil.example/x.png)", "[a][b]", "&lt;", "&#60;", "a \\\\ b \\* c", "***", "x**2**3", "5 * 3",
        "snake_case_name", "Müller & Söhne", "深層学習", "-1.2 *", "<b>x</b>", "a | b",
    ],
)  # fmt: skip
def test_markdown_shows_text_of_others_as_it_is(text: str) -> None:
    """As another implementation of Markdown reads the table."""
    from markdown_it import MarkdownIt

    table = grid(["name", "x"], [[text, "y"], ["z", text]], "github")
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(table)
    reader = Shown()
    reader.feed(html)
    assert reader.cells == ["name", "x", text, "y", "z", text] and not reader.tags & {
        "strong",
        "em",
        "s",
        "a",
        "img",
    }


class Shown(HTMLParser):
    """The text of all cells, and the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells and data.strip():
            self.cells[-1] += data


def test_headings_and_remarks_are_escaped() -> None:
    assert "<script" not in heading(EVIL, "html") + remark(EVIL, "html") + heading(EVIL, "github")
    for text in (heading(EVIL, "latex"), remark(EVIL, "latex")):
        assert all(line.startswith("% ") for line in text.splitlines())
    assert len(heading(EVIL, "simple").splitlines()) == 1


def test_csv_cells_cannot_be_formulas() -> None:
    from bench.report.records.aggregate import summarize
    from bench.report.tables.comparison import comparisons
    from tests.report.making_records import make_record

    record = make_record("net", 0, 0.5)
    config = {"a": "=cmd|' /C calc'!A0", "b": "-2+3", "c": -2.5, "d": "plain, with a comma"}
    rows = summarize([record.model_copy(update={"config": config})])
    keys = [f"config.{name}" for name in config]
    (line,) = csv.DictReader(io.StringIO(render(comparisons(rows, keys=keys), "csv")))
    assert line["config.a"].startswith("'=") and line["config.b"] == "'-2+3"
    assert line["config.c"] == "-2.5" and line["config.d"] == config["d"]
