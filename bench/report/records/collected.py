"""What `bench collect` left beside the submissions, for reports: teams, and the uploads that it refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contract.collected import Refusal, read_refused, read_teams
from bench.contract.records.record import Record
from bench.errors import ManifestError
from bench.report.tables.text import MISSING

REFUSED_TITLES = ("team", "upload", "date (UTC)", "reason")
REFUSED_TEXT = "Uploads that `bench collect` refused. An upload that is accepted later leaves this list."


@dataclass(frozen=True)
class Collected:
    """Teams and refused uploads; both are empty if nothing was collected."""

    teams: Mapping[str, str] = field(default_factory=dict)  # submission -> team, if it has one
    refused: Sequence[Refusal] = ()


NOTHING = Collected()


def read_collected(submissions: Path, records: Iterable[Record]) -> tuple[Collected, list[str]]:
    """Return the teams of the records' submissions and the refused uploads, or a message why not."""
    names = sorted({record.identity.submission for record in records})
    teams = read_teams(submissions, names)
    try:
        return Collected(teams, read_refused(submissions)), []
    except ManifestError as error:
        return Collected(teams), [str(error)]


def refused_cells(refusal: Refusal) -> tuple[str, str, str, str]:
    """Return the cells of a refused upload under ``REFUSED_TITLES``."""
    date = refusal.date[:16].replace("T", " ")
    return refusal.team or MISSING, refusal.upload, date, refusal.reason
