"""The comparison table, computed from records only."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from bench.contract.fingerprint import sources_of
from bench.contract.manifest import AsPublished
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import NothingToDo, UsageError
from bench.files import hash_json
from bench.harness.submissions.scaffold import scaffold
from bench.report.compare import CompareOptions, compare_command, comparison_text
from bench.report.records.aggregate import summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.tables.text import FORMATS
from tests.report.making_contest import CLAIMS
from tests.report.making_records import make_record

ACCURACIES = [0.45, 0.47, 0.46]


@pytest.fixture
def records() -> list[Record]:
    honest = [make_record("se", seed, value, claims=CLAIMS) for seed, value in enumerate(ACCURACIES)]
    better = [make_record("wide", 0, 0.6, params=99_000, claims={"params": 100_000})]
    mixed = [make_record("moody", 0, 0.3), make_record("moody", 1, None), make_record("broken", 0, None)]
    return [*honest, *better, *mixed, make_record("se", 0, 0.2, profile="quick")]


def test_row_has_means_and_deviations(records: list[Record]) -> None:
    table = comparison_text(summarize(records), table_format="markdown")
    row = next(line for line in table.splitlines() if "| se " in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    mean, std = 100 * np.mean(ACCURACIES), 100 * np.std(ACCURACIES, ddof=1)
    assert cells == [
        "se",
        "84,194 =",
        "2.85",
        "4,001",
        f"{mean:.2f} ± {std:.2f} (n=3)",
        f"{mean + 5:.2f} ± {std:.2f} (n=3)",
        "50.2 ± 4.2 (batches of one run, as published)",
        "10,000",
        "ok, 3 of 5 seeds",
    ]


def test_claim_of_the_best_run_is_compared_with_our_best_run() -> None:
    best = AsPublished(mode="eval", batch_size=64, best_seed=True, why="chosen on test")
    claims = {"top1_accuracy": {"mean": 0.8495, "protocol": "as-published", "selected": "all trials"}}
    runs = [
        make_record("se", seed, value, claims=claims).model_copy(update={"as_published": best})
        for seed, value in enumerate(ACCURACIES)
    ]
    table = comparison_text(summarize(runs), table_format="markdown")
    assert "| 52.00 (best of n=3) | 84.95 (best on test, as published) |" in table


def test_rows_over_the_cap_or_budget_are_marked() -> None:
    longer = make_record("net", variant="longer")
    longer = longer.model_copy(update={"identity": longer.identity.model_copy(update={"steps": 20_000})})
    table = comparison_text(
        summarize([make_record("net", variant="wide", params=104_804), longer]), table_format="github"
    )
    rows = {line.split()[1]: line for line in table.splitlines() if "net/" in line}
    assert "over the cap" in rows["net/wide"] and "budget" not in rows["net/wide"]
    assert "20,000" in rows["net/longer"] and "over the budget" in rows["net/longer"]


def test_missing_values_and_failed_runs_are_shown(records: list[Record]) -> None:
    table = comparison_text(summarize(records), table_format="markdown")
    assert "| 99,000 (paper 100,000) |" in table and "60.00 (n=1)" in table
    broken = next(line for line in table.splitlines() if "broken" in line)
    assert "–" in broken and broken.rstrip("| ").endswith("error: OSError: 5")
    assert "1/2 error: OSError: 5" in next(line for line in table.splitlines() if "moody" in line)


def test_protocols_have_separate_tables(records: list[Record]) -> None:
    table = comparison_text(summarize(records), table_format="markdown")
    official, quick = table.split("### ")[1:]
    assert official.startswith(
        "cifar100-classification, official: cifar100, 10,000 steps; inference on A CPU, 1 thr\n"
    )
    assert quick.startswith("cifar100-classification, quick")
    assert "20.00 (n=1)" in quick and "ok, unranked" in quick and "n=3" not in quick


def test_speeds_of_different_devices_name_the_device() -> None:
    here = make_record("here")
    there = make_record("there").model_copy(update={"environment": {"device": "A GPU", "device_type": "cuda"}})
    table = comparison_text(summarize([here, there]), table_format="markdown")
    assert "4,000 (A CPU, 1 thr)" in table and "4,000 (A GPU)" in table and "inference on" not in table


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("score", "wide"),
        ("params", "broken"),
        ("submission", "broken"),
        ("-submission", "wide"),
        ("images_per_s", "se"),
    ],
)
def test_table_is_sorted_by_the_given_column(records: list[Record], key: str, first: str) -> None:
    table = comparison_text(summarize(records), table_format="csv", sort=key)
    assert next(csv.DictReader(io.StringIO(table)))["submission"] == first


def test_table_is_sorted_by_a_setting_with_numbers_and_texts() -> None:
    settings = {"a": "cosine", "b": 0.5, "c": 0.25, "d": "constant"}
    records = [make_record(name).model_copy(update={"config": {"rate": rate}}) for name, rate in settings.items()]
    table = comparison_text(summarize(records), table_format="csv", keys=["submission"], sort="config.rate")
    assert [row["submission"] for row in csv.DictReader(io.StringIO(table))] == ["c", "b", "d", "a"]


def test_only_the_newest_version_of_the_code_is_shown() -> None:
    old = [make_record("net", seed, 0.1, source="old") for seed in range(3)]
    new = [make_record("net", 0, 0.9, source="new", finished_at="2026-02-01T00:00:00+00:00")]
    (row,) = summarize([*old, *new])
    assert row.metric("top1_accuracy").mean == 0.9 and len(row.records) == 1  # type: ignore[union-attr]


def test_current_code_is_shown_despite_a_wrong_clock(tmp_path: Path) -> None:
    """The older code ran on a machine whose clock was ten years ahead."""
    folder = scaffold("net", "classification", tmp_path)
    source = hash_json(sources_of(folder / "model.py"))
    ahead = [
        make_record("net", seed, 0.1, source="old", finished_at="2036-01-01T00:00:00+00:00") for seed in (0, 1)
    ]
    current = make_record("net", 0, 0.9, source=source)
    for records in ([*ahead, current], [current, *ahead]):
        marked, problems = with_current_claims(records, tmp_path)
        (row,) = summarize(marked)
        assert problems == [] and row.by_seed("top1_accuracy") == {0: 0.9}
    # The manifest's steps belong to a run's identity: with other steps, no record is of the current code.
    (folder / "submission.yaml").write_text("track: cifar100-classification\nsteps: 50\n")
    assert [r.of_current_code for r in with_current_claims([current], tmp_path)[0]] == [False]
    assert [r.of_current_code for r in with_current_claims([current], tmp_path / "nowhere")[0]] == [None]


def test_json_has_numbers_and_nulls(records: list[Record]) -> None:
    official, _ = json.loads(comparison_text(summarize(records), table_format="json"))
    rows = {row["submission"]: row for row in official["rows"]}
    assert rows["se"]["metrics"]["top1_accuracy"]["n"] == 3
    assert rows["wide"]["metrics"]["top1_accuracy"]["std"] is None
    assert rows["broken"]["metrics"] == {} and rows["broken"]["inference_images_per_s"] is None


@pytest.mark.parametrize("table", FORMATS)
def test_every_format_names_every_submission(records: list[Record], table: str) -> None:
    text = comparison_text(summarize(records), table_format=table)
    assert all(name in text for name in ("se", "wide", "moody", "broken"))


def test_command_prints_the_table_and_refuses_invalid_options(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NothingToDo, match="no records"):
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="simple", track=None, sort="score"))
    for record in records:
        write_record(record_path(tmp_path, record.identity, record.protocol), record)
    assert (
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="simple", track=None, sort="score")) == 0
    )
    assert "46.00 ± 1.00 (n=3)" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--track 'x': the records are of cifar100-classification"):
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="simple", track="x", sort="score"))
    with pytest.raises(UsageError, match="--table 'pdf'"):
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="pdf", track=None, sort="score"))
    with pytest.raises(UsageError, match="column 'luck': no record has it; available: the columns submission"):
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="csv", track=None, sort="luck"))


def write_all(results: Path, records: list[Record]) -> Path:
    """Write the records; return the path of the first one."""
    paths = [record_path(results, record.identity, record.protocol) for record in records]
    for path, record in zip(paths, records, strict=True):
        write_record(path, record)
    return paths[0]


def test_damaged_record_is_reported_and_the_others_shown(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_all(tmp_path, records)
    path.write_text(path.read_text()[:-20])
    assert (
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="simple", track=None, sort="score")) == 2
    )
    captured = capsys.readouterr()
    assert path.name in captured.err and "(n=2)" in captured.out


def test_copy_of_a_record_does_not_count(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_all(tmp_path, records)
    for copy in (path.with_name("seed7-01234567.json"), path.parents[1] / "other" / path.name):
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert (
        compare_command(tmp_path, tmp_path, CompareOptions(table_format="simple", track=None, sort="score")) == 2
    )
    captured = capsys.readouterr()
    assert "46.00 ± 1.00 (n=3)" in captured.out and captured.err.count("a copy does not count") == 2
