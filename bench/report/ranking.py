"""Which rows of a table rank, and in which place."""

from collections.abc import Sequence
from dataclasses import replace

from bench.contract.manifest import BASE_VARIANT
from bench.contract.records import Record, reasons_against_ranking
from bench.contract.tracks import OFFICIAL
from bench.errors import NothingToDo
from bench.report.best import takes_part
from bench.report.columns import Column
from bench.report.comparison import Comparison, comparisons
from bench.report.summary import Row, RowKey
from bench.report.tables import NOTHING
from bench.stats.spreads import ROUNDING


def ranks(item: Comparison) -> dict[RowKey, int]:
    """Row -> place, of those that rank: bases, within the contest, with every seed that the profile asks for.

    Fewer seeds, or some picked from many, may be the lucky ones. Equal means share a place. Of several rows of one
    submission (devices, precisions) the worst counts: another try is no second chance.
    """
    sign = 1 if item.rows[0].first.task == "classification" else -1
    scores: dict[str, tuple[float, RowKey]] = {}
    for row in filter(_ranks, item.rows):
        score = row.metric(row.score_name)
        if score is not None:
            own = (sign * score.mean, row.key)
            scores[row.key.submission] = min(scores.get(row.key.submission, own), own)
    return {
        key: 1 + sum(other - score > 8 * ROUNDING * abs(score) for other, _ in scores.values())
        for score, key in scores.values()
    }


def _ranks(row: Row) -> bool:
    """Whether it takes a place."""
    base = row.first.identity.variant == BASE_VARIANT
    complete = len(row.by_seed(row.score_name)) == len(row.records)
    seeds = not row.seeds_missing and not row.seeds_left_out
    return base and complete and seeds and takes_part(row) and not any(map(_against_ranking, row.records))


def _against_ranking(record: Record) -> bool:
    """Whether anything is, told anew from what the record holds."""
    parts = record.data, record.cost, record.training, record.evaluation
    if not record.ranked or any(part is None for part in parts):
        return True
    assert record.data and record.cost and record.training and record.evaluation
    return bool(
        reasons_against_ranking(record.protocol, record.data, record.cost, record.training, record.evaluation)
    )


def official(rows: Sequence[Row]) -> list[Comparison]:
    """The tables of official protocols, each with its ranked rows first.

    Raises:
        NothingToDo: If there is no official record.
    """
    rows = [row for row in rows if row.first.protocol.profile == OFFICIAL]
    if not rows:
        raise NothingToDo("no official record; `bench run` without --profile makes one")
    return [with_places(item) for item in comparisons(rows)]


def with_places(item: Comparison) -> Comparison:
    """The same table, its places in front, what does not rank at its end, variants below their base."""
    places = ranks(item)
    taken = list(places.values())

    def text(row: Row) -> str:
        place = places.get(row.key)
        return NOTHING if place is None else f"{place}=" if taken.count(place) > 1 else str(place)

    column = Column("place", "place", lambda row: places.get(row.key), text)
    return replace(
        item,
        rows=_in_order(item.rows, places),
        columns=[column, *item.columns],
        best={"place": set(), **item.best},
    )


def _in_order(rows: Sequence[Row], places: dict[RowKey, int]) -> list[Row]:
    """By place, then as they were; a variant comes after its base."""
    families: dict[RowKey, list[Row]] = {}
    for row in rows:
        families.setdefault(row.key._replace(variant=""), []).append(row)

    def place(family: list[Row]) -> int:
        return min((places[row.key] for row in family if row.key in places), default=len(places) + 1)

    ordered = sorted(families.values(), key=place)
    return [row for own in ordered for row in sorted(own, key=lambda row: row.key.variant != BASE_VARIANT)]
