"""What may be called best: not what leads by chance, and nothing that a single seed says."""

import numpy as np
import pytest
from scipy import stats

from bench.contract.records import Record
from bench.report.best import best_rows
from bench.report.columns import columns_of
from bench.report.summary import summarize
from bench.stats import holm, spread, welch_p_value
from tests.report.making_records import make_record


def test_the_p_value_is_that_of_scipy() -> None:
    generator = np.random.default_rng(0)
    for n, m in ((2, 2), (3, 5), (10, 4)):
        one, other = generator.normal(0.5, 0.1, n), generator.normal(0.55, 0.3, m)
        first, second = spread(list(one)), spread(list(other))
        assert first is not None and second is not None
        assert welch_p_value(first, second) == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)


def test_holm_rejects_step_by_step() -> None:
    # Holm 1979: the smallest against level/m, the next against level/(m-1), until one does not reject.
    assert holm([0.01, 0.04, 0.03]) == [True, False, False]  # 0.03 > 0.05 / 2, although 0.04 < 0.05
    assert holm([0.01, 0.02, 0.04]) == [True, True, True]


def runs(name: str, *accuracies: float | None, params: int = 84_194) -> list[Record]:
    return [make_record(name, seed, value, params=params) for seed, value in enumerate(accuracies)]


def best(*groups: list[Record]) -> set[str]:
    rows = summarize(record for group in groups for record in group)
    return best_rows(next(c for c in columns_of(rows) if c.key == "score"), rows)


CLEAR, CLOSE, WORSE = (0.60, 0.61, 0.62), (0.59, 0.615, 0.60), (0.40, 0.41, 0.42)


def test_the_best_and_what_is_not_shown_to_be_worse() -> None:
    assert best(runs("a", *CLEAR), runs("b", *CLOSE), runs("c", *WORSE)) == {"a", "b"}
    assert best(runs("a", *CLEAR), runs("c", *WORSE)) == {"a"}


def test_a_single_seed_is_never_best_and_where_it_leads_nothing_is() -> None:
    assert best(runs("a", *CLEAR), runs("b", 0.60)) == {"a"}
    assert best(runs("a", *CLEAR), runs("b", 0.90)) == set()
    assert best(runs("a", *CLEAR)) == set()  # alone: best of nothing


def test_what_is_outside_of_the_contest_takes_no_part() -> None:
    assert best(runs("a", *CLEAR), runs("b", *WORSE), runs("big", 0.9, 0.91, 0.92, params=104_804)) == {"a"}
    assert best(runs("a", *CLEAR), runs("b", *WORSE), runs("moody", 0.9, 0.91, None)) == {"a"}


def test_many_comparisons_are_corrected_for() -> None:
    # One rival at p = 0.03 is called worse; among twenty such it is not.
    def at_p(name: str, p_value: float) -> list[Record]:
        step = 0.01
        low, high = 0.2, 0.6
        for _ in range(60):  # the distance at which the test gives just this p value
            middle = (low + high) / 2
            values = (middle - step, middle, middle + step)
            low, high = (
                (middle, high)
                if stats.ttest_ind(CLEAR, values, equal_var=False).pvalue < p_value
                else (low, middle)
            )
        return runs(name, middle - step, middle, middle + step)

    assert best(runs("a", *CLEAR), at_p("b", 0.03)) == {"a"}
    many = [at_p(f"b{index}", 0.03) for index in range(20)]
    assert best(runs("a", *CLEAR), *many) == {"a", *(f"b{index}" for index in range(20))}
