"""Numbers in README come from the committed records, and from nowhere else."""

from pathlib import Path

import pytest

from bench.report.compare import comparison_text
from bench.report.summary import read_all, summarize

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- bench compare --table github -->\n", "<!-- end -->"


def committed_table() -> str:
    records, problems = read_all(ROOT / "results")
    assert problems == []
    return comparison_text(summarize(records), table="github")


def test_the_table_is_that_of_the_records() -> None:
    shown = (ROOT / "README.md").read_text().split(BEGIN)[1].split(END)[0]
    assert shown.strip() == committed_table(), "run `bench compare --table github` and paste its output"


def test_the_notes_of_se_dsconv_quote_its_records() -> None:
    records, _ = read_all(ROOT / "results")
    rows = [row for row in summarize(records) if row.label == "se_dsconv" and row.first.protocol.profile == "official"]
    if not rows:
        pytest.skip("no official record of se_dsconv")
    notes = " ".join((ROOT / "submissions" / "se_dsconv" / "submission.yaml").read_text().split())
    for name in ("top1_accuracy",):
        for spread in (rows[0].metric(name), rows[0].as_published(name)):
            assert spread is not None and spread.std is not None
            assert f"{100 * spread.mean:.2f} ± {100 * spread.std:.2f} %" in notes
