"""``bench leaderboard``: the ranking of official runs, as Markdown, as JSON and as a site of static pages.

Only official records rank; those that are there but do not (failed, over a cap, real images) stand below. The same
records give the same bytes, so that CI can say whether the committed files are current.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.contract.tracks import load_tracks
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.files import write_bytes
from bench.report.claims import with_current_claims
from bench.report.extras import require
from bench.report.formats import BEST, comparison_data, titled
from bench.report.ranking import official, ranks
from bench.report.reading import read_all, say_unreadable
from bench.report.summary import Row, summarize
from bench.report.verdict import tally, verdicts
from bench.report.verdict_command import LEGEND, verdict_grid

MARKDOWN, DATA, SITE = "LEADERBOARD.md", "leaderboard.json", "site"
SCHEMA_VERSION = 1
HEAD = """\
# Leaderboard

Made by `bench leaderboard` from the records in `runs/`; `bench leaderboard --check` says whether it is current.
Submissions rank by the mean over seeds of what the last weights score on the test images. A place takes every seed
that the profile asks for; equal means share one, and variants stand below their base without one.
"""


def leaderboard_markdown(rows: Sequence[Row]) -> str:
    """The whole of LEADERBOARD.md."""
    return "\n\n".join(_markdown(rows)) + "\n"


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    titles = {name: track.title for name, track in load_tracks().items()}
    yield HEAD.rstrip()
    for item in official(rows):
        yield f"## {titles.get(item.protocol.track, item.protocol.track)}"
        yield titled(item, "github")
        if not ranks(item):
            yield "Nothing ranks yet: a place takes an official run of every seed."
    yield f"Bold: {BEST}"
    found = list(verdicts(list(rows)))
    if found:
        yield "## Claims of the papers"
        yield tally(found)
        yield verdict_grid(found, "github")
        yield LEGEND


def leaderboard_data(rows: Sequence[Row]) -> dict[str, Any]:
    """The same for other programs, numbers as in records."""
    tables = [comparison_data(item) for item in official(rows)]
    found = [asdict(verdict) for verdict in verdicts(list(rows))]
    return {"schema_version": SCHEMA_VERSION, "tables": tables, "verdicts": found}


def leaderboard_command(results: Path, submissions: Path, *, check: bool, site: bool) -> ExitCode:
    """Write the leaderboard, or say whether what is written is current (exit code 1 if not).

    Args:
        results: The results folder; what is made lies in it too.
        submissions: Folder of the submissions, whose claims are judged, and whose audit notes stand on their
            pages; may be absent.
        check: Write nothing.
        site: Also make the pages.

    Raises:
        NothingToDo: If there is no official record, and no pages of others are wanted either.
        ResultsError: If the folder cannot be written.
        UsageError: If a package that pages need is not installed.
    """
    if site and not check:
        require("jinja2", "bench leaderboard")
        require("matplotlib", "bench leaderboard")
    records, problems = read_all(results)
    records, unread = with_current_claims(records, submissions)
    say_unreadable([*problems, *unread])
    rows = summarize(records)
    try:
        made = {
            MARKDOWN: leaderboard_markdown(rows),
            DATA: json.dumps(leaderboard_data(rows), indent=1, ensure_ascii=False) + "\n",
        }
    except NothingToDo:
        if check or not site or not records:
            raise
        made = {}  # nothing ranks, but all that was run has its page
    if check:
        return _check(results, made) or (ExitCode.USAGE if problems else ExitCode.OK)
    try:
        for name, text in made.items():
            write_bytes(results / name, text.encode())
            print(results / name)
        if site:
            from bench.report.site.build import build_site

            print(build_site(records, problems, results, submissions, results / SITE))
    except OSError as error:
        raise ResultsError(f"{error.filename or results}: cannot be written ({error.strerror})") from None
    return ExitCode.USAGE if problems else ExitCode.OK


def _check(results: Path, made: dict[str, str]) -> ExitCode:
    stale = [name for name, text in made.items() if not _is(results / name, text)]
    for name in stale:
        print(
            f"bench: {results / name}: is not what the records give; `bench leaderboard` renews it",
            file=sys.stderr,
        )
    return ExitCode.REGRESSION if stale else ExitCode.OK


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()
