"""The gate's formats: each has every finding, and its outcome as that format expresses it."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.errors import UsageError
from bench.report.regression.check import check_command
from bench.report.regression.findings import DEFAULT_LIMITS, Finding
from bench.report.regression.formats import FORMATS, gate_text
from tests.making import bench
from tests.report.regression.test_check import BEFORE, put, runs

FINDINGS = [
    Finding("net (official)", "params", "10", "10", "+0", "pass"),
    Finding("net (official)", "accuracy", "50", "48 (n=3)", "-2", "FAIL"),
    Finding('a<b> & "c"', "throughput", "–", "–", "–", "open", "too noisy"),
    Finding("other", "throughput", "–", "–", "–", "not compared", "measured on another device"),
]


def test_junit_has_a_case_per_finding() -> None:
    suite = ElementTree.fromstring(gate_text(FINDINGS, "main", "junit"))
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["error"], ["skipped"]]
    assert cases[2].get("classname") == 'a<b> & "c"' and cases[1].get("name") == "accuracy"
    (failure,) = cases[1]
    assert failure.get("message") == "50 before, 48 (n=3) now, change -2"
    (error,) = cases[2]
    assert (error.get("message") or "").endswith("; too noisy")


def test_json_has_every_field() -> None:
    content = json.loads(gate_text(FINDINGS, "main", "json"))
    assert [Finding(**item) for item in content["findings"]] == FINDINGS
    assert content["outcomes"] == {"pass": 1, "FAIL": 1, "open": 1, "not compared": 1}
    assert content["baseline"] == "main"


def test_markdown_is_a_table_whose_cells_are_escaped() -> None:
    lines = gate_text(FINDINGS, "main", "markdown").splitlines()
    assert [line.count("|") for line in lines[:6]] == [8] * 6 and lines[
        -1
    ] == "1 pass, 1 FAIL, 1 open, 1 not compared"
    assert "a<b>" not in lines[4]


@pytest.mark.parametrize("table", FORMATS)
def test_exit_code_is_that_of_the_findings_in_every_format(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, worse = (
        put(tmp_path / "a", runs(BEFORE)),
        put(tmp_path / "b", runs([0.40, 0.403, 0.397], source="new")),
    )
    assert check_command(worse, str(before), DEFAULT_LIMITS, table=table) == 1
    assert "FAIL" in (out := capsys.readouterr().out) or "<failure" in out


def test_damaged_record_does_not_spoil_the_document(tmp_path: Path) -> None:
    before, now = put(tmp_path / "a", runs(BEFORE)), put(tmp_path / "b", runs(BEFORE))
    next(now.rglob("seed0*.json")).write_text("{")
    result = bench("check", "--baseline", before, "--results", now, "--table", "json")
    assert result.returncode != 0 and json.loads(result.stdout)["findings"]
    assert "✗" in result.stderr


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--table 'xml': give simple, markdown, json, junit"):
        check_command(tmp_path, str(tmp_path), DEFAULT_LIMITS, table="xml")
