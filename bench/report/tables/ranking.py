"""The ranking: which rows of a table are ranked, and their ranks."""

from collections.abc import Sequence
from dataclasses import replace

from bench.contract.manifest import BASE_VARIANT
from bench.contract.records.eligibility import reasons_against_ranking
from bench.contract.records.record import Record
from bench.contract.tracks import OFFICIAL
from bench.errors import NothingToDo
from bench.report.records.aggregate import Row, RowKey
from bench.report.tables.columns import Column
from bench.report.tables.comparison import ComparedRow, Comparison, cell_of, comparisons
from bench.report.tables.significance import is_eligible
from bench.report.tables.text import MISSING
from bench.stats.spreads import ROUNDING

NO_RANKS = "No submission is ranked yet: a rank requires an official run of every seed."


def ranks(item: Comparison) -> dict[RowKey, int]:
    """Map each ranked row to its rank; only eligible base submissions with every seed of the profile are ranked.

    A subset of the seeds could be a lucky one. Equal means share a rank. If a submission has several rows
    (devices, precisions), the worst one counts: repeating its runs on another device cannot improve its rank.
    """
    scores: dict[str, tuple[float, RowKey]] = {}
    for row in (compared.row for compared in item.rows if _is_ranked(compared.row)):
        score = row.metric(row.ranking_metric.name)
        if score is not None:
            entry = (row.ranking_metric.sign * score.mean, row.key)
            scores[row.key.submission] = min(scores.get(row.key.submission, entry), entry)
    return {
        key: 1 + sum(other - score > 8 * ROUNDING * abs(score) for other, _ in scores.values())
        for score, key in scores.values()
    }


def _is_ranked(row: Row) -> bool:
    """Return whether the row is ranked."""
    base = row.representative.identity.variant == BASE_VARIANT
    complete = len(row.by_seed(row.ranking_metric.name)) == len(row.records)
    seeds = not row.seeds_missing and not row.seeds_skipped
    return base and complete and seeds and is_eligible(row) and not any(map(_against_ranking, row.records))


def _against_ranking(record: Record) -> bool:
    """Return whether the record is ineligible; the rules are applied again to the record's content."""
    parts = record.data, record.cost, record.training, record.evaluation
    if not record.ranked or any(part is None for part in parts):
        return True
    assert record.data and record.cost and record.training and record.evaluation
    return bool(
        reasons_against_ranking(record.protocol, record.data, record.cost, record.training, record.evaluation)
    )


def official(rows: Sequence[Row]) -> list[Comparison]:
    """Return the tables of official protocols, each with its ranked rows first.

    Raises:
        NothingToDo: If there is no official record.
    """
    rows = [row for row in rows if row.representative.protocol.profile == OFFICIAL]
    if not rows:
        raise NothingToDo("no official record; create one with `bench run` without --profile")
    return [with_places(item) for item in comparisons(rows)]


def with_places(item: Comparison) -> Comparison:
    """Return the table with a column of ranks in front, unranked rows last and variants below their base."""
    rank_of = ranks(item)
    assigned = list(rank_of.values())

    def text(row: Row) -> str:
        rank = rank_of.get(row.key)
        return MISSING if rank is None else f"{rank}=" if assigned.count(rank) > 1 else str(rank)

    column = Column("place", "rank", lambda row: rank_of.get(row.key), text)
    rows = [
        replace(compared, cells={"place": cell_of(column, compared.row), **compared.cells})
        for compared in item.rows
    ]
    return replace(item, rows=_in_order(rows, rank_of), columns=[column, *item.columns])


def _in_order(rows: Sequence[ComparedRow], rank_of: dict[RowKey, int]) -> list[ComparedRow]:
    """Sort by rank, else keep the order; a variant follows its base."""
    families: dict[RowKey, list[ComparedRow]] = {}
    for item in rows:
        families.setdefault(item.row.key._replace(variant=""), []).append(item)

    def rank(family: list[ComparedRow]) -> int:
        ranked = [rank_of[item.row.key] for item in family if item.row.key in rank_of]
        return min(ranked, default=len(rank_of) + 1)

    ordered = sorted(families.values(), key=rank)
    return [
        item
        for family in ordered
        for item in sorted(family, key=lambda item: item.row.key.variant != BASE_VARIANT)
    ]
