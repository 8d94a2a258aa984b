"""Tuning runs on validation images: which records count, and what the table shows."""

from pathlib import Path
from typing import Any

from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.contract.searches import STUDY
from bench.report.claims.tuning_runs import read_tried, tried_grid, tried_rows
from bench.report.records.aggregate import summarize
from tests.report.making_records import make_record


def tuning_run(variant: str, accuracy: float | None, seed: int = 0, **config: Any) -> Record:
    record = make_record("net", seed, accuracy, variant=variant, profile="tuning")
    return record.model_copy(update={"config": {"batch_size": 128, **config}})


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_only_differing_settings_are_shown() -> None:
    records = [tuning_run("slow", 0.4, rate=1e-3, decay=0.7), tuning_run("fast", 0.5, rate=3e-3, decay=0.7)]
    records.append(tuning_run("fast", 0.52, seed=1, rate=3e-3, decay=0.7))
    titles, _, *rows = cells(tried_grid(tried_rows(summarize(records)), "github"))
    assert titles == [
        "variant",
        "rate",
        "steps",
        "top-1 %",
        "as published",
        "train loss",
    ]  # no train accuracy was logged
    assert rows == [
        ["fast", "0.003", "10,000", "51.00 ± 1.41 (n=2)", "56.00 ± 1.41", "2.000 ± 0.000"],
        ["slow", "0.001", "10,000", "40.00 (n=1)", "45.00", "2.000"],
    ]


def test_field_of_newer_code_is_shown_if_overridden() -> None:
    early, late = tuning_run("early", 0.4), tuning_run("late", 0.5, noise=0.1, other=7)
    identity = late.identity.model_copy(update={"overrides": {"noise": 0.1}})
    late = late.model_copy(update={"identity": identity})
    titles, _, *rows = cells(tried_grid(summarize([early, late]), "github"))
    assert titles[:3] == ["variant", "noise", "steps"] and [row[1] for row in rows] == ["–", "0.1"]
    titles, *_ = cells(tried_grid(summarize([late]), "github"))
    assert "noise" not in titles  # a single row needs no such column


def test_precisions_have_separate_rows() -> None:
    plain = tuning_run("fast", 0.5)
    rounded = plain.model_copy(update={"identity": plain.identity.model_copy(update={"precision": "bf16"})})
    text = tried_grid(summarize([plain, rounded]), "github")
    assert [row[0] for row in cells(text)[2:]] == ["fast bf16", "fast"]


def test_trials_short_runs_failures_and_copies_are_left_out(tmp_path: Path) -> None:
    def put(folder: str, record: Record) -> Path:
        path = record_path(tmp_path / "tuning" / folder, record.identity, record.protocol)
        write_record(path, record)
        return path

    assert read_tried(tmp_path) == ([], [])
    put("rates", tuning_run("fast", 0.5))
    put("rates", tuning_run("broken", None))
    put("rates", make_record("net", profile="quick"))
    put("net-tuning", tuning_run("trial-0", 0.6))
    (tmp_path / "tuning" / "net-tuning" / STUDY).touch()
    copy = put("rates", tuning_run("copied", 0.7))
    copy.rename(copy.with_name("seed1-0.json"))
    rows, problems = read_tried(tmp_path)
    assert [row.label for row in rows] == ["net/fast"]
    assert len(problems) == 1 and "a copy does not count" in problems[0]
