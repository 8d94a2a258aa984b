"""Columns that compare with the paper, another results folder or a git revision."""

import csv
import io
import subprocess
from pathlib import Path

import pytest
from scipy import stats

from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.compare import CompareOptions, compare_command
from tests.report.making_records import make_record

BEFORE, NOW = (0.45, 0.47, 0.46), (0.455, 0.472, 0.468)
CLAIM = {"top1_accuracy": {"mean": 0.5}}


def write(folder: Path, records: list[Record]) -> Path:
    for record in records:
        write_record(record_path(folder, record.identity, record.protocol), record)
    return folder


def runs(accuracies: tuple[float, ...], name: str = "net", source: str = "s") -> list[Record]:
    return [make_record(name, seed, value, claims=CLAIM, source=source) for seed, value in enumerate(accuracies)]


@pytest.fixture
def now(tmp_path: Path) -> Path:
    return write(tmp_path / "now", [*runs(NOW, source="new"), *runs((0.3,), "fresh")])


def compare(now: Path, against: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    capsys.readouterr()
    assert compare_command(now, now, CompareOptions(table_format="csv", against=against)) == 0
    return {row["submission"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}


def assert_paired_difference(row: dict[str, str]) -> None:
    difference = [n - b for n, b in zip(NOW, BEFORE, strict=True)]
    low, high = stats.ttest_rel(NOW, BEFORE).confidence_interval()
    assert float(row["difference"]) == pytest.approx(sum(difference) / 3)
    assert (float(row["difference_low"]), float(row["difference_high"])) == pytest.approx((low, high))


def test_difference_from_another_folder_is_paired_by_seed(
    tmp_path: Path, now: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "before", [*runs(BEFORE), make_record("net", 3, 0.9)])  # one seed more than now
    rows = compare(now, str(before), capsys)
    assert_paired_difference(rows["net"])
    assert rows["net"]["before_n"] == "4" and rows["net"]["difference_n"] == "3"
    assert rows["fresh"]["before"] == "" and rows["fresh"]["difference"] == ""
    assert compare_command(now, now, CompareOptions(table_format="github", against=str(before))) == 0
    assert "+0.50 [" in capsys.readouterr().out


def test_difference_from_a_git_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write(tmp_path / "results", runs(BEFORE))

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("add", "results")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "before")
    write(
        results,
        [
            record.model_copy(update={"timing": record.timing.model_copy(update={"finished_at": "2027"})})
            for record in runs(NOW, source="new")
        ],
    )
    assert_paired_difference(compare(results, "HEAD", capsys)["net"])
    with pytest.raises(UsageError, match="--against 'v9': neither a results folder nor a git revision"):
        compare_command(results, results, CompareOptions(against="v9"))


def test_difference_from_the_paper_with_verdict(now: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = compare(now, "paper", capsys)
    assert float(rows["net"]["difference"]) == pytest.approx(sum(NOW) / 3 - 0.5)
    assert rows["net"]["verdict"] == "consistent"
    assert rows["fresh"]["verdict"] == "inconclusive" and rows["fresh"]["difference_low"] == ""
