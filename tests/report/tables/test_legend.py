"""Legends say what is marked in which column, and explain the statuses that occur and no others."""

from bench.contract.records.record import Record
from bench.report.records.aggregate import summarize
from bench.report.tables.comparison import comparisons
from bench.report.tables.legend import REMARKS, STATUSES, legend_of
from tests.report.making_records import make_record


def runs(name: str, *accuracies: float) -> list[Record]:
    return [make_record(name, seed, value) for seed, value in enumerate(accuracies)]


def failed(name: str, status: str) -> Record:
    return make_record(name, 0, None, reason="why").model_copy(update={"status": status})


def lines(*groups: list[Record], bold: str = "Bold") -> list[str]:
    return legend_of(comparisons(summarize(record for group in groups for record in group)), bold)


def bold_lines(*groups: list[Record]) -> list[str]:
    return [line for line in lines(*groups) if line.startswith("Bold")]


CLEAR, WORSE = (0.60, 0.61, 0.62), (0.40, 0.41, 0.42)


def test_bold_by_tests() -> None:
    (line,) = bold_lines(runs("a", *CLEAR), runs("b", *WORSE))
    assert line.startswith("Bold: the best mean of the column and every value that is not significantly worse")
    assert "among rows with at least 3 seeds" in line and "Holm-corrected, 5 %" in line


def test_bold_by_the_mean_names_its_columns_and_the_reason() -> None:
    assert bold_lines(runs("a", 0.5, 0.6), runs("b", 0.4, 0.5)) == [
        "Bold in top-1 % (test), as published %: only the best mean, which may lead by chance: "
        "tests need two rows with 3 seeds."
    ]
    (line,) = bold_lines(runs("a", 0.5, 0.6, 0.7), runs("b", 0.52, 0.58, 0.66))
    assert "only the best mean, which may lead by chance: no test separates two rows (t tests" in line


def test_columns_of_several_tables_are_told_apart() -> None:
    quick = [make_record(name, seed, 0.5 + seed / 10, profile="quick") for name in "ab" for seed in range(2)]
    first, second = bold_lines(runs("a", *CLEAR), runs("b", *WORSE), quick)
    assert first.startswith("Bold: the best mean")
    assert second.startswith("Bold in top-1 % (validation), as published % of cifar100-classification, quick: ")


def test_nothing_is_explained_that_does_not_occur() -> None:
    assert lines(runs("a", 0.5)) == ["Status: seeds: a rank requires all seeds of the profile, without a gap."]
    five = (0.5, 0.51, 0.52, 0.53, 0.54)
    assert lines(runs("a", *five)) == []


def test_statuses_and_remarks_that_occur_are_explained() -> None:
    for status, text in STATUSES.items():
        (line,) = lines([failed("a", status)])
        assert line == f"Status: {status}: {text}."
    half = [make_record("a", 0, 0.5), make_record("a", 1, None)]
    assert lines(half)[-1] == f"Status: error: {STATUSES['error']}; a fraction: so many of the seeds failed."
    over = [make_record("a", seed, 0.5, params=200_000) for seed in range(5)]
    assert lines(over) == [f"Status: over the cap: {REMARKS['over the cap']}."]


def test_every_status_of_records_has_words() -> None:
    from typing import get_args

    from bench.contract.records.record import Status

    assert set(STATUSES) == set(get_args(Status)) - {"ok"}
