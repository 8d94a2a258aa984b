"""Columns that compare with a reference: the paper's value, or the records of another folder or revision."""

from collections.abc import Sequence
from pathlib import Path

from bench.report.claims.verdict import score_verdict
from bench.report.records.aggregate import Row, summarize
from bench.report.records.reference import reference_records
from bench.report.tables.columns import Column
from bench.report.tables.comparison import MakeColumns
from bench.report.tables.text import MISSING, difference_text, spread_text
from bench.stats.pairs import PairedDifference, paired_by_seed
from bench.stats.spreads import Spread

DIFFERENCE = "difference [90 %]"


def paper_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of the difference from the paper's value, measured as the paper did, and the verdict."""
    verdicts = {row.key: score_verdict(row) for row in rows}

    def outcome(row: Row) -> str | None:
        verdict = verdicts[row.key]
        return None if verdict is None else verdict.verdict

    return [
        Column(
            "difference",
            DIFFERENCE,
            lambda row: None if (verdict := verdicts[row.key]) is None else verdict.paired_difference,
            lambda row: MISSING if (verdict := verdicts[row.key]) is None else verdict.cells()[DIFFERENCE],
        ),
        Column("verdict", "verdict", outcome, lambda row: outcome(row) or MISSING),
    ]


def record_columns(reference: str, results: Path) -> tuple[MakeColumns, list[str]]:
    """Prepare the columns of the scores in other records, and of the differences paired by seed.

    Args:
        reference: A results folder, or a git revision of the repository that contains ``results``.
        results: The results folder to compare.

    Returns:
        The function that adds the columns, and a message per unreadable record.

    Raises:
        UsageError: If ``reference`` is neither.
    """
    records, problems = reference_records(reference, results, option="--against")
    before = {row.key: row for row in summarize(records)}

    def columns(rows: Sequence[Row]) -> list[Column]:
        score = rows[0].ranking_metric

        def old_score(row: Row) -> Spread | None:
            old = before.get(row.key)
            return None if old is None else old.metric(old.ranking_metric.name)

        def difference(row: Row) -> PairedDifference | None:
            old = before.get(row.key)
            return None if old is None else paired(row, old)

        return [
            Column("before", f"at {reference}", old_score, lambda row: spread_text(old_score(row), score)),
            Column(
                "difference",
                "difference [95 %]",
                difference,
                lambda row: difference_text(difference(row), score),
            ),
        ]

    return columns, problems


def paired(row: Row, old: Row) -> PairedDifference | None:
    """Return the difference of a row's score from an earlier one, over their common seeds."""
    metric = row.ranking_metric
    difference = paired_by_seed(row.by_seed(metric.name), old.by_seed(metric.name))
    return difference.within(-1, 1) if difference is not None and metric.is_percentage else difference
