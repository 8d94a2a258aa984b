"""Golden files of every format; renew them with ``pytest --force-regen`` and review the diff."""

import csv
import io
import json
import re

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

from bench.contract.records.record import Record
from bench.report.compare import comparison_text
from bench.report.records.aggregate import summarize
from bench.report.tables.reference_columns import paper_columns
from bench.report.tables.text import FORMATS
from tests.report.making_contest import contest

ENDINGS = {"markdown": ".md", "github": ".github.md", "latex": ".tex", "simple": ".txt"}


@pytest.fixture
def records() -> list[Record]:
    return contest()


@pytest.mark.parametrize("table", FORMATS)
def test_format_equals_the_golden_file(
    records: list[Record], table: str, file_regression: FileRegressionFixture
) -> None:
    text = comparison_text(summarize(records), table_format=table)
    file_regression.check(text + "\n", extension=ENDINGS.get(table, f".{table}"), basename="golden")


def test_columns_of_the_paper_equal_the_golden_file(
    records: list[Record], file_regression: FileRegressionFixture
) -> None:
    text = comparison_text(summarize(records), table_format="github", extra_columns=[paper_columns])
    file_regression.check(text + "\n", extension=".md", basename="against_paper")


def test_latex_is_ascii_and_escaped(records: list[Record]) -> None:
    text = comparison_text(summarize(records), table_format="latex")
    tabulars = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert tabulars.isascii()
    assert r"46.00 $\pm$ 1.00" in text and r"\toprule" in text and r"\textbf{46.20" in text
    assert not re.search(r"(?<!\\)[%_#]", tabulars)  # each would end the line or the document


def test_csv_has_plain_numbers(records: list[Record]) -> None:
    rows = {
        (r["submission"], r["profile"]): r
        for r in csv.DictReader(io.StringIO(comparison_text(summarize(records), table_format="csv")))
    }
    se_net = rows["se_net", "official"]
    assert (float(se_net["score"]), float(se_net["score_std"]), se_net["score_n"]) == pytest.approx(
        (0.46, 0.01, "5")
    )
    assert int(se_net["params"]) == 84_194 and float(se_net["paper"]) == 0.502
    assert rows["gan", "official"]["kid"] == "0.0123" and se_net["kid"] == ""
    assert rows["real-images", "official"]["params"] == ""


def test_json_has_the_best_columns_of_each_row(records: list[Record]) -> None:
    tables = json.loads(comparison_text(summarize(records), table_format="json"))
    rows = {(row["submission"], row["variant"]): row for row in tables[0]["rows"]}
    assert "score" in rows["wide", "base"]["best_in"] and "score" in rows["se_net", "base"]["best_in"]
    assert not rows["narrow", "base"]["best_in"] and not rows["wide", "deep"]["best_in"]
    assert rows["se_net", "base"]["columns"]["score"] == pytest.approx({"mean": 0.46, "std": 0.01, "n": 5})
