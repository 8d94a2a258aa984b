"""``bench leaderboard``: the ranking of official runs as Markdown, JSON and a static site.

Only official records are shown; unranked rows (failed, over a cap, real images) come last. The output is a
deterministic function of the records, so that CI can check that the committed files are current.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.contract.contest import find_contest
from bench.contract.records.record import Record
from bench.contract.tracks import load_tracks
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.files import write_bytes
from bench.report.claims.verdict import tally, verdicts
from bench.report.claims.verdict_command import LEGEND, verdict_grid
from bench.report.optional_packages import require
from bench.report.records.aggregate import Row, summarize
from bench.report.records.collected import (
    NOTHING,
    REFUSED_TEXT,
    REFUSED_TITLES,
    Collected,
    read_collected,
    refused_cells,
)
from bench.report.records.current_claims import with_current_claims
from bench.report.records.load import read_all, warn_unreadable
from bench.report.tables.legend import legend_of
from bench.report.tables.ranking import NO_RANKS, official, ranks
from bench.report.tables.render import comparison_data, titled
from bench.report.tables.teams import with_teams
from bench.report.tables.text import grid
from bench.text import one_line

MARKDOWN, DATA, SITE = "LEADERBOARD.md", "leaderboard.json", "site"
SCHEMA_VERSION = 2
HEAD = """\
Made by `bench leaderboard` from the records in `runs/`; `bench leaderboard --check` checks that it is current.
Submissions are ranked by their mean score over seeds on the test images, with the last weights. A rank requires a
result of every seed of the profile. Equal means share a rank. Variants are unranked and listed below their base.
"""


def leaderboard_markdown(rows: Sequence[Row], collected: Collected = NOTHING) -> str:
    """Return the content of LEADERBOARD.md."""
    return "\n\n".join(_markdown(rows, collected)) + "\n"


def _markdown(rows: Sequence[Row], collected: Collected) -> Iterator[str]:
    titles = {name: track.title for name, track in load_tracks().items()}
    yield from _title()
    yield HEAD.rstrip()
    tables = [with_teams(item, collected.teams) for item in official(rows)]
    for item in tables:
        yield f"## {titles.get(item.protocol.track, item.protocol.track)}"
        if item.protocol.rank_by is not None:
            yield f"Ranked by the {item.protocol.metric.best} {item.protocol.metric.label}."
        yield titled(item, "github")
        if not ranks(item):
            yield NO_RANKS
    yield from legend_of(tables)
    if collected.refused:
        yield f"## Refused\n\n{REFUSED_TEXT}"
        yield grid(REFUSED_TITLES, [refused_cells(refusal) for refusal in collected.refused], "github")
    claims = list(verdicts(list(rows)))
    if claims:
        yield "## Claims of the papers"
        yield tally(claims)
        yield verdict_grid(claims, "github")
        yield LEGEND


def _title() -> Iterator[str]:
    """Yield the contest's title, organiser and text, or outside of a contest a general title."""
    contest = find_contest()
    if contest is None:
        yield "# Leaderboard"
        return
    content = contest.content
    yield f"# {one_line(content.title, 200)}"
    if content.byline:
        yield content.byline
    if content.about:
        yield content.about.strip()


def of_known_tracks(records: Sequence[Record]) -> list[Record]:
    """Return the records of the contest's tracks, and say how many others there are; outside of a contest all."""
    if find_contest() is None:
        return list(records)
    tracks = load_tracks()
    known = [record for record in records if record.protocol.track in tracks]
    if len(known) < len(records):
        others = ", ".join(sorted({record.protocol.track for record in records} - tracks.keys()))
        print(f"bench: left out {len(records) - len(known)} records of other tracks: {others}", file=sys.stderr)
    return known


def leaderboard_data(rows: Sequence[Row], collected: Collected = NOTHING) -> dict[str, Any]:
    """Return the content of leaderboard.json, with all numbers in full precision."""
    tables = [comparison_data(with_teams(item, collected.teams)) for item in official(rows)]
    claims = [asdict(verdict) for verdict in verdicts(list(rows))]
    refused = [refusal.model_dump() for refusal in collected.refused]
    return {"schema_version": SCHEMA_VERSION, "tables": tables, "verdicts": claims, "refused": refused}


def leaderboard_command(results: Path, submissions: Path, *, check: bool, site: bool) -> ExitCode:
    """Write the leaderboard, or check that the written files are current (exit code 1 if not).

    Args:
        results: The results folder, which is also the output folder.
        submissions: The folder of the submissions, for current claims and audit notes; may be missing.
        check: Only check; write nothing.
        site: Also write the site.

    Raises:
        NothingToDo: If there is no official record, and no site of other records is requested.
        ResultsError: If the folder cannot be written.
        UsageError: If a package that the site needs is not installed.
    """
    if site and not check:
        require("jinja2", "bench leaderboard")
        require("matplotlib", "bench leaderboard")
    records, problems = read_all(results)
    records, unread = with_current_claims(of_known_tracks(records), submissions)
    collected, unread_refusals = read_collected(submissions, records)
    warn_unreadable([*problems, *unread, *unread_refusals])
    rows = summarize(records)
    try:
        files = {
            MARKDOWN: leaderboard_markdown(rows, collected),
            DATA: json.dumps(leaderboard_data(rows, collected), indent=1, ensure_ascii=False) + "\n",
        }
    except NothingToDo:
        if check or not site or not records:
            raise
        files = {}  # the site shows all profiles
        print(f"{results}: no official record, so that nothing ranks; only the site is written", file=sys.stderr)
    if check:
        return _check(results, files) or (ExitCode.USAGE if problems else ExitCode.OK)
    try:
        for name, text in files.items():
            write_bytes(results / name, text.encode())
            print(results / name)
        if site:
            from bench.report.site.build import build_site

            print(
                build_site(records, [*problems, *unread_refusals], results, submissions, results / SITE, collected)
            )
    except OSError as error:
        raise ResultsError(f"{error.filename or results}: cannot be written ({error.strerror})") from None
    return ExitCode.USAGE if problems else ExitCode.OK


def _check(results: Path, files: dict[str, str]) -> ExitCode:
    stale = [name for name, text in files.items() if not _is_current(results / name, text)]
    for name in stale:
        print(
            f"bench: {results / name}: does not match the records; update it with `bench leaderboard`",
            file=sys.stderr,
        )
    return ExitCode.REGRESSION if stale else ExitCode.OK


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()
