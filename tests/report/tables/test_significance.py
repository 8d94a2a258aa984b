"""Rows marked as best: not those that lead by chance, and never one with a single seed."""

from scipy import stats

from bench.contract.records.record import Record
from bench.report.records.aggregate import summarize
from bench.report.tables.columns import columns_of
from bench.report.tables.significance import best_rows
from tests.report.making_records import make_record


def runs(name: str, *accuracies: float | None, params: int = 84_194) -> list[Record]:
    return [make_record(name, seed, value, params=params) for seed, value in enumerate(accuracies)]


def best(*groups: list[Record]) -> set[str]:
    rows = summarize(record for group in groups for record in group)
    place = best_rows(next(c for c in columns_of(rows) if c.key == "score"), rows)
    return set() if place is None else {key.submission for key in place.names}


CLEAR, CLOSE, WORSE = (0.60, 0.61, 0.62), (0.59, 0.615, 0.60), (0.40, 0.41, 0.42)


def test_best_rows_include_those_not_shown_to_be_worse() -> None:
    assert best(runs("a", *CLEAR), runs("b", *CLOSE), runs("c", *WORSE)) == {"a", "b"}
    assert best(runs("a", *CLEAR), runs("c", *WORSE)) == {"a"}


def test_single_seed_is_never_best_and_no_row_is_if_it_leads() -> None:
    assert best(runs("a", *CLEAR), runs("b", 0.60)) == {"a"}
    assert best(runs("a", *CLEAR), runs("b", 0.90)) == set()
    assert best(runs("a", *CLEAR)) == set()  # a single row is not best


def test_ineligible_rows_are_ignored() -> None:
    assert best(runs("a", *CLEAR), runs("b", *WORSE), runs("big", 0.9, 0.91, 0.92, params=104_804)) == {"a"}
    assert best(runs("a", *CLEAR), runs("b", *WORSE), runs("moody", 0.9, 0.91, None)) == {"a"}


def test_multiple_comparisons_are_corrected() -> None:
    # One row with p = 0.03 is shown to be worse; among twenty such rows, none is.
    def at_p(name: str, p_value: float) -> list[Record]:
        low, high = -0.4, 0.0
        for _ in range(60):  # bisect for the shift with this p value
            middle = (low + high) / 2
            values = [middle + value for value in (0.60, 0.62, 0.61)]
            low, high = (middle, high) if stats.ttest_rel(CLEAR, values).pvalue < p_value else (low, middle)
        return runs(name, *values)

    assert best(runs("a", *CLEAR), at_p("b", 0.03)) == {"a"}
    # One row that is far behind is separated from all, so that the tests decide who is best.
    many = [at_p(f"b{index}", 0.03) for index in range(20)]
    last = runs("last", *(value - 0.5 for value in CLEAR))
    assert best(runs("a", *CLEAR), *many, last) == {"a", *(f"b{index}" for index in range(20))}
    assert best(runs("a", *CLEAR), *many) == {"a"}  # no test separates two rows: the best mean alone


def test_two_seeds_mark_the_best_mean_alone() -> None:
    many = [runs(f"net{index}", 0.5 + index / 100, 0.505 + index / 100) for index in range(23)]
    assert best(*many) == {"net22"}
    assert best(*many, runs("perfect", 1.0, 1.0), runs("other", 0.925, 0.925)) == {"perfect"}
