"""The report's text: nothing from a submission is markup, and it fits into a comment."""

import pytest

from bench.ci.examination import Examination
from bench.ci.junit import junit_text
from bench.ci.report import MARKER, MAX_CHARACTERS, markdown_text
from bench.errors import ManifestError


@pytest.mark.parametrize(
    "name", ["`", "``a`", "a|b", "<img src=x>", "@everyone", "[a](b)", "x\n\n# y", "\x1b[31m"]
)
def test_name_is_code_in_one_cell(name: str) -> None:
    text = markdown_text(Examination(unreadable=[(name, ManifestError("x"))]))
    (row,) = [line for line in text.splitlines() if line.endswith("| ✗ unreadable |")]
    cell = row.replace(r"\|", "").split("|")[1].strip()
    fence = cell[: len(cell) - len(cell.lstrip("`"))]
    assert fence and cell.endswith(fence) and fence not in cell.strip("`").strip()
    assert "\x1b" not in text and "\n# y" not in text


def test_title_has_no_markup() -> None:
    text = markdown_text(Examination(title="[a](https://b) @all ![x](y) <b>"))
    heading = text.splitlines()[1]
    assert r"\[a\]\(https\:\/\/b\)" in heading and "@all" not in heading and "<b>" not in heading


def test_long_report_keeps_the_tables() -> None:
    names = [f"net_{index}" for index in range(200)]
    found = Examination(unreadable=[(name, ManifestError("x" * 900)) for name in names])
    text = markdown_text(found)
    assert len(text) <= MAX_CHARACTERS and text.startswith(MARKER)
    assert all(f"| `{name}`" in text for name in names) and "0 of 200 submissions passed" in text
    shown = text.count("```text")
    assert 30 < shown < 200 and f"{200 - shown} parts are left out" in text


def test_junit_is_valid_for_any_text() -> None:
    assert r"\x1b" in junit_text(Examination(unreadable=[("a\x1b", ManifestError("b\x00<&\udcff"))]))
