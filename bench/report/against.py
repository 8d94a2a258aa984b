"""What a comparison is set against: each paper's own figure, or the records of another folder or revision."""

from collections.abc import Sequence
from pathlib import Path

from bench.report.baseline import reference_records
from bench.report.columns import Column, Value
from bench.report.comparison import MakeColumns
from bench.report.summary import Row, summarize
from bench.report.tables import NOTHING, spread_text
from bench.report.verdict import score_verdict
from bench.stats.pairs import PairedDifference, paired_by_seed
from bench.stats.spreads import Spread


def against_paper(rows: Sequence[Row]) -> list[Column]:
    """The difference from the paper's figure, measured as the paper did, and the verdict on it."""

    def difference(row: Row) -> Value:
        found = score_verdict(row)
        if found is None or found.difference is None:
            return None
        n = found.measured.n if found.measured else 0
        return PairedDifference(found.difference, found.low, found.high, n)

    def verdict(row: Row) -> str | None:
        found = score_verdict(row)
        return None if found is None else found.verdict

    def text(row: Row) -> str:
        found = score_verdict(row)
        return NOTHING if found is None else found.cells()["difference [90 %]"]

    return [
        Column("difference", "difference [90 %]", difference, text),
        Column("verdict", "verdict", verdict, lambda row: verdict(row) or NOTHING),
    ]


def against_records(reference: str, results: Path) -> tuple[MakeColumns, list[str]]:
    """The same submissions' scores in other records, and the difference, seed by seed.

    Args:
        reference: A results folder, or a revision of the repository that ``results`` is in.
        results: The results folder that is compared.

    Returns:
        What makes the columns, and a line for each record that cannot be read.

    Raises:
        UsageError: If ``reference`` is neither.
    """
    records, problems = reference_records(reference, results, option="--against")
    before = {row.key: row for row in summarize(records)}

    def columns(rows: Sequence[Row]) -> list[Column]:
        percent = 100 if rows[0].first.task == "classification" else 1

        def then(row: Row) -> Row | None:
            return before.get(row.key)

        def old_score(row: Row) -> Spread | None:
            old = then(row)
            return None if old is None else old.metric(old.score_name)

        def difference(row: Row) -> PairedDifference | None:
            old = then(row)
            return None if old is None else paired(row, old)

        return [
            Column("before", f"at {reference}", old_score, lambda row: spread_text(old_score(row), percent)),
            Column(
                "difference",
                "difference [95 %]",
                difference,
                lambda row: difference_text(difference(row), percent),
            ),
        ]

    return columns, problems


def paired(row: Row, old: Row) -> PairedDifference | None:
    """How a score differs from an earlier one, over the seeds that both have."""
    return paired_by_seed(row.by_seed(row.score_name), old.by_seed(old.score_name))


def difference_text(value: PairedDifference | None, scale: float) -> str:
    """``+0.40 [-0.21, +1.01] (n=3)``: the mean of the pairs and its 95 % interval."""
    if value is None:
        return NOTHING
    text = f"{scale * value.mean:+z.2f}"
    if value.low is not None and value.high is not None:
        text += f" [{scale * value.low:+z.2f}, {scale * value.high:+z.2f}]"
    return f"{text} (n={value.n})"
