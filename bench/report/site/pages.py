"""The front page and the pages of tracks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from bench.contract.manifest import Manifest
from bench.contract.records import REAL_IMAGES, Record
from bench.contract.tracks import OFFICIAL, Track, load_tracks
from bench.report.comparison import Comparison, comparisons
from bench.report.formats import BEST
from bench.report.ranking import ranks, with_places
from bench.report.site.drawings import pareto_drawings, protocol_curves
from bench.report.site.views import (
    Cell,
    Link,
    Section,
    Table,
    comparison_table,
    kind_of,
    runs_table,
    submission_page,
    track_page,
)
from bench.report.summary import Row, summarize
from bench.report.verdict import tally, verdicts
from bench.report.verdict_command import LEGEND, titles_of

# A drawing takes a tenth of a second, so that those of ten thousand runs would take a quarter of an hour.
MOST_RUNS_DRAWN, MOST_ROWS_DRAWN = 500, 200
IN_SHORT = ("place", "submission", "params", "macs", "score", "as_published", "paper", "status")


@dataclass(frozen=True)
class Source:
    """All that pages are made of."""

    records: Sequence[Record]
    problems: Sequence[str]  # a line for each record that cannot be read
    manifests: dict[str, Manifest]  # by the submission's name; may lack any
    results: Path

    @cached_property
    def rows(self) -> list[Row]:
        """One a submission, variant and protocol."""
        return summarize(self.records)

    @cached_property
    def tables(self) -> list[Comparison]:
        """One a protocol."""
        tables = comparisons(self.rows)
        return [with_places(item) if item.protocol.profile == OFFICIAL else item for item in tables]

    @cached_property
    def by_submission(self) -> dict[str, list[Record]]:
        """Every submission that has a record, by name."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.identity.submission, []).append(record)
        return dict(sorted(found.items()))

    @cached_property
    def rows_of(self) -> dict[tuple[str, str], list[Row]]:
        """(protocol, submission) -> its rows, in the table's order."""
        found: dict[tuple[str, str], list[Row]] = {}
        for item in self.tables:
            for row in item.rows:
                found.setdefault((item.protocol.hash, row.first.identity.submission), []).append(row)
        return found

    @cached_property
    def shown(self) -> set[str]:
        """Checksums of the records that stand in a table: not those of earlier code."""
        return {record.checksum for row in self.rows for record in row.records}

    @property
    def draws_runs(self) -> bool:
        """Whether each run's page has its own drawing; its submission's has one of all seeds."""
        return len(self.records) <= MOST_RUNS_DRAWN

    @property
    def draws_rows(self) -> bool:
        """Whether each submission's page has drawings; with more, `bench plot` makes those that are wanted."""
        return len(self.rows) <= MOST_ROWS_DRAWN

    @cached_property
    def tracks(self) -> dict[str, Track]:
        """Those that ship, by name."""
        return load_tracks()

    def title_of(self, track: str) -> str:
        """A track in words."""
        return self.tracks[track].title if track in self.tracks else track


def index_sections(source: Source) -> Iterator[Section]:
    """The front page: each track's ranking in short, the claims, what failed."""
    for track, group in groupby(source.tables, key=lambda item: item.protocol.track):
        yield _track_in_short(source, track, list(group))
    claims = claims_table(source.rows)
    if claims is not None:
        yield Section("What the papers claim", tables=[claims])
    failed = failed_runs(source.records)
    if failed is not None:
        yield Section("Runs that failed", tables=[failed])
    if source.problems:
        yield Section("Records that cannot be read", lines=list(source.problems))


def _track_in_short(source: Source, track: str, items: list[Comparison]) -> Section:
    official = [item for item in items if item.protocol.profile == OFFICIAL]
    names = {row.label for item in items for row in item.rows if row.first.identity.submission != REAL_IMAGES}
    runs = sum(len(row.records) for item in items for row in item.rows)
    text = [f"Submissions and variants: {len(names)}. Runs: {runs}."]
    if not any(ranks(item) for item in official):
        others = sorted({item.protocol.profile for item in items} - {OFFICIAL})
        instead = f" Shown are runs of profile {', '.join(others)}." if others and not official else ""
        text.append(f"Nothing ranks yet: a place takes an official run of every seed.{instead}")
    link = Link("All figures, plots, rules and failed runs", track_page(track))
    return Section(
        source.title_of(track),
        text,
        [comparison_table(item, keys=IN_SHORT) for item in official or items],
        links=[link],
    )


def claims_table(rows: Sequence[Row]) -> Table | None:
    """Claims and verdicts; None without any."""
    found = [(verdict, row) for row in rows for verdict in verdicts([row])]
    if not found:
        return None
    texts_of = [verdict.cells() for verdict, _ in found]
    titles, cells = titles_of(texts_of), []
    for texts, (_, row) in zip(texts_of, found, strict=True):
        cells.append(
            [
                Cell(
                    texts[title],
                    link=submission_page(row.first) if title == "submission" else "",
                    kind=kind_of(texts[title]) if title == "verdict" else "",
                )
                for title in titles
            ]
        )
    said = tally([verdict for verdict, _ in found])
    return Table("Claims and what the official records say of them", titles, cells, f"{said}\n{LEGEND}")


def failed_runs(records: Sequence[Record]) -> Table | None:
    """Every run that has no result; None if all have."""
    failed = [record for record in records if record.status != "ok"]
    return runs_table("Runs without a result", failed, []) if failed else None


def track_sections(source: Source, track: str) -> Iterator[Section]:
    """A track: its rules, the ranking, what scores cost, how trainings went, and what does not rank."""
    items = [item for item in source.tables if item.protocol.track == track]
    for item in items:
        official = item.protocol.profile == OFFICIAL
        title = "Ranking" if official else f"Profile {item.protocol.profile}: not ranked"
        yield Section(title, text=[_rules(item)], tables=[_comparison(item)])
        figures = [*pareto_drawings(item), *protocol_curves(item)]
        if figures:
            yield Section(f"{'Ranking' if official else item.protocol.profile}: plots", figures=figures)
    failed = failed_runs([record for record in source.records if record.protocol.track == track])
    if failed is not None:
        yield Section("Runs that failed", tables=[failed])


def _comparison(item: Comparison) -> Table:
    legend = "± is the standard deviation over seeds; = says that the count is the paper's to the last digit."
    if any(item.best.values()):
        legend += f" Bold: {BEST}"
    return comparison_table(item, legend)


def _rules(item: Comparison) -> str:
    protocol = item.protocol
    caps = [] if protocol.caps.params is None else [f"at most {protocol.caps.params:,} parameters"]
    if protocol.caps.stored_scalars is not None:
        caps.append(f"at most {protocol.caps.stored_scalars:,} stored scalars")
    samples = f", {protocol.samples:,} samples" if protocol.samples else ""
    images = f" ({protocol.evaluation_images:,} images)" if protocol.evaluation_images else ""
    return (
        f"{protocol.steps:,} optimisation steps on {protocol.train} of {protocol.data}, scored on "
        f"{protocol.evaluate}{images}{samples}{'; ' if caps else ''}{', '.join(caps)}. Protocol {protocol.hash}."
    )
