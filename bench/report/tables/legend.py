"""Legends of tables: what bold means in which column, and what the statuses mean that occur."""

from collections.abc import Iterator, Sequence

from bench.report.tables.comparison import Comparison
from bench.stats.first_places import TESTED_SEEDS, Basis

TESTS = "t tests of all pairs of rows, paired by seed if the seeds are the same; Holm-corrected, 5 %"
BY_TESTS = (
    "the best mean of the column and every value that is not significantly worse than any other, among rows with "
    f"at least {TESTED_SEEDS} seeds ({TESTS})."
)
BY_MEAN: dict[Basis, str] = {
    "few seeds": f"only the best mean, which may lead by chance: tests need two rows with {TESTED_SEEDS} seeds.",
    "no difference": f"only the best mean, which may lead by chance: no test separates two rows ({TESTS}).",
}
STATUSES = {
    "cap": "over a cap, found before training",
    "contract": "the interface or a rule is broken",
    "oom": "out of memory",
    "timeout": "over the time limit",
    "limit": "too many processes and threads",
    "signal": "the process was killed",
    "nan": "a loss or a weight is not finite",
    "error": "an exception in its code",
    "pruned": "stopped by a search",
}
REMARKS = {  # beginning or end of a remark -> its meaning
    "over the cap": "measured, but over a cap, and not ranked",
    "over the budget": "measured, but with more steps than allowed, and not ranked",
    "not counted": "a record of an older version, not ranked under this cap",
    "unranked": "a result that does not rank; the page of the run says why",
    "seeds": "a rank requires all seeds of the profile, without a gap",
    "over the advised": "over what the organiser advises, without effect on the rank",
    "made elsewhere": "from another machine, by `bench unpack`",
}


def legend_of(tables: Sequence[Comparison], bold: str = "Bold") -> list[str]:
    """Return the lines below tables, for what occurs in them.

    Args:
        tables: The tables.
        bold: What best values are marked with.
    """
    return [*_bold_lines(tables, bold), *_status_lines(tables)]


def _bold_lines(tables: Sequence[Comparison], bold: str) -> Iterator[str]:
    """Yield what bold means: by tests, and in which columns by the mean alone."""
    if any(basis == "tests" for item in tables for basis in item.marked.values()):
        yield f"{bold}: {BY_TESTS}"
    for basis, text in BY_MEAN.items():
        found = [(item, _columns_by(item, basis)) for item in tables if basis in item.marked.values()]
        if not found:
            continue
        if len(tables) == 1:
            yield f"{bold} in {found[0][1]}: {text}"
        else:
            parts = [f"{columns} of {item.protocol.track}, {item.protocol.profile}" for item, columns in found]
            yield f"{bold} in {'; '.join(parts)}: {text}"


def _columns_by(item: Comparison, basis: Basis) -> str:
    return ", ".join(column.title for column in item.columns if item.marked.get(column.key) == basis)


def _status_lines(tables: Sequence[Comparison]) -> Iterator[str]:
    """Yield one line with the statuses and remarks that occur in the tables."""
    shown = [item for item in tables if any(column.key == "status" for column in item.columns)]
    rows = [compared.row for item in shown for compared in item.rows]
    kinds = {kind for row in rows for kind in row.failures}
    remarks = {remark for row in rows for remark in row.remarks}
    words = [f"{kind}: {text}" for kind, text in STATUSES.items() if kind in kinds]
    if any(row.failures and row.finished for row in rows):
        words.append("a fraction: so many of the seeds failed")
    for name, text in REMARKS.items():
        if any(remark.startswith(name) or remark.endswith(name) for remark in remarks):
            words.append(f"{name}: {text}")
    if words:
        yield f"Status: {'; '.join(words)}."
