"""The column of teams, which are not in records: `bench collect` keeps them beside the submissions."""

from collections.abc import Mapping
from dataclasses import replace

from bench.report.records.aggregate import Row
from bench.report.tables.columns import Column
from bench.report.tables.comparison import Comparison, cell_of
from bench.report.tables.text import MISSING


def with_teams(item: Comparison, teams: Mapping[str, str]) -> Comparison:
    """Return the table with a column of teams after the submission; unchanged if no submission in it has one.

    Args:
        item: The table.
        teams: Submission -> team.
    """
    if not any(compared.row.key.submission in teams for compared in item.rows):
        return item

    def team(row: Row) -> str | None:
        return teams.get(row.key.submission)

    column = Column("team", "team", team, lambda row: team(row) or MISSING)
    rows = [
        replace(compared, cells={**compared.cells, "team": cell_of(column, compared.row)})
        for compared in item.rows
    ]
    position = [column.key for column in item.columns].index("submission") + 1
    return replace(item, rows=rows, columns=[*item.columns[:position], column, *item.columns[position:]])
