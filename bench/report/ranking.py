"""Which rows of a table rank, and in which place."""

from collections.abc import Sequence

from bench.contract.tracks import OFFICIAL
from bench.errors import NothingToDo
from bench.report.best import takes_part
from bench.report.columns import Column
from bench.report.comparison import Comparison, comparisons
from bench.report.summary import Row
from bench.report.tables import NOTHING


def ranks(item: Comparison) -> dict[str, int]:
    """Label -> place, of the rows that rank: every seed finished, within the contest, scored.

    A single seed has no place beside submissions that were run over several: it may have been lucky.
    """
    scores = {
        row.label: score
        for row in item.rows
        if takes_part(row) and all(r.ranked for r in row.records) and (score := row.metric(row.score_name))
    }
    several = any(score.n > 1 for score in scores.values())
    labels = [label for label, score in scores.items() if score.n > 1 or not several]
    return {label: place for place, label in enumerate(labels, 1)}


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
    """The same table, its places in front, and the rows that do not rank at its end."""
    places = ranks(item)
    place = Column(
        "place",
        "place",
        lambda row: places.get(row.label),
        lambda row: str(places.get(row.label, NOTHING)),
    )
    order = sorted(item.rows, key=lambda row: row.label not in places)
    return Comparison(order, [place, *item.columns], {"place": set(), **item.best})
