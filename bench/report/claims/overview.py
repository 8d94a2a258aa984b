"""``bench reproduction --short``: one line per submission, for a README."""

from collections.abc import Sequence

from bench.contract.manifest import BASE_VARIANT
from bench.contract.metrics import PRIMARY, Metric
from bench.report.claims.papers import PaperEntry
from bench.report.claims.reproduction import NOT_RUN, claim_lines, official_rows, tally_lines
from bench.report.claims.verdict import Verdict, score_verdict
from bench.report.records.aggregate import Row
from bench.report.tables.text import MISSING, grid, value_text, with_unit
from bench.stats.spreads import Spread

TITLES = ("submission", "track", "parameters", "score", "paper", "ours, measured as the paper did", "verdict")


def overview_text(entries: Sequence[PaperEntry], rows: Sequence[Row]) -> str:
    """Return a Markdown table with a line per submission, and the tally of all claims.

    Args:
        entries: The submissions, sorted by paper, as returned by ``read_entries``.
        rows: Rows of any profile; only official ones are used.
    """
    rows = official_rows(entries, rows)
    lines = [_cells(entry, _base(entry.name, rows)) for entry in entries]
    claims = [claim for entry in entries if entry.manifest.paper for claim in claim_lines(entry, rows)]
    return f"{grid(TITLES, lines, 'github')}\n\n{tally_lines(claims)}\n"


def _base(name: str, rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if (row.key.submission, row.key.variant) == (name, BASE_VARIANT)), None)


def _cells(entry: PaperEntry, row: Row | None) -> list[str]:
    claims, score = entry.manifest.claims, PRIMARY[entry.track.task]
    claim = getattr(claims, score.key)
    paper = MISSING if claim is None else with_unit(Spread(claim.mean, claim.std, 1), score)
    verdict = None if row is None else score_verdict(row)
    params = MISSING if claims.params is None else f"{claims.params:,}"
    if row is not None and row.representative.cost is not None:
        count = row.representative.cost.params
        params = f"{count:,} =" if count == claims.params else f"{count:,}"
    return [entry.name, entry.track.name, params, score.label, paper, *_ours(row, verdict, score)]


def _ours(row: Row | None, verdict: Verdict | None, score: Metric) -> tuple[str, str]:
    if row is None:
        return MISSING, NOT_RUN
    if verdict is not None and verdict.measured is not None:
        reason = f": {verdict.why}" if verdict.why else ""
        return verdict.cells()["ours"], verdict.verdict + reason
    own = row.metric(row.claimed_score.name)
    data = row.representative.data
    stand_in = "" if data is None or data.stand_in_for is None else f" on {data.name}"
    text = MISSING if own is None else f"{value_text(own.mean, score)}{score.unit} (n={own.n}){stand_in}"
    return text, "not comparable" if stand_in else MISSING
