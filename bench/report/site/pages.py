"""The front page and the track pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

from bench.contract.contest import find_contest
from bench.contract.manifest import REAL_IMAGES, Manifest
from bench.contract.records.record import Record
from bench.contract.tracks import OFFICIAL, Track, load_tracks
from bench.data.store import describe
from bench.report.claims.verdict import tally, verdicts
from bench.report.claims.verdict_command import CAPTION, LEGEND, titles_of
from bench.report.records.aggregate import Row, summarize
from bench.report.records.collected import NOTHING, REFUSED_TEXT, REFUSED_TITLES, Collected, refused_cells
from bench.report.rules import rules_sections
from bench.report.site.figures import pareto_figures, protocol_curves
from bench.report.site.views import (
    Link,
    Section,
    comparison_table,
    rules_page,
    runs_table,
    style_of,
    submission_page,
    track_page,
)
from bench.report.tables.comparison import Comparison, comparisons
from bench.report.tables.legend import legend_of
from bench.report.tables.ranking import NO_RANKS, ranks, with_places
from bench.report.tables.table import Cell, Table
from bench.report.tables.teams import with_teams

# A plot takes 0.1 s, so the plots of 10,000 runs would take 15 minutes.
MOST_RUNS_DRAWN, MOST_ROWS_DRAWN = 500, 200
CAP_NAMES = {
    "params": "parameters",
    "stored_scalars": "stored scalars",
    "macs_per_image": "multiply-accumulates per image",
    "training_flops": "training FLOPs",
    "weight_bytes": "bytes of weights",
    "images_seen": "images seen in training",
}
SHORT_COLUMNS = ("place", "submission", "team", "params", "score", "as_published", "paper", "status")


@dataclass(frozen=True)
class SiteData:
    """The input of all pages."""

    records: Sequence[Record]
    problems: Sequence[str]  # a message per unreadable record or manifest
    manifests: dict[str, Manifest]  # submission -> manifest; submissions without one are missing
    results: Path
    collected: Collected = NOTHING

    @cached_property
    def rows(self) -> list[Row]:
        """One row per submission, variant and protocol."""
        return summarize(self.records)

    @cached_property
    def tables(self) -> list[Comparison]:
        """One table per protocol."""
        tables = [with_teams(item, self.collected.teams) for item in comparisons(self.rows)]
        return [with_places(item) if item.protocol.profile == OFFICIAL else item for item in tables]

    @cached_property
    def by_submission(self) -> dict[str, list[Record]]:
        """Submission -> its records, sorted by name."""
        records: dict[str, list[Record]] = {}
        for record in self.records:
            records.setdefault(record.identity.submission, []).append(record)
        return dict(sorted(records.items()))

    @cached_property
    def rows_of(self) -> dict[tuple[str, str], list[Row]]:
        """(Hash of the protocol, submission) -> its rows, in the order of the table."""
        rows: dict[tuple[str, str], list[Row]] = {}
        for item in self.tables:
            for row in (compared.row for compared in item.rows):
                rows.setdefault((item.protocol.hash, row.representative.identity.submission), []).append(row)
        return rows

    @cached_property
    def shown(self) -> set[str]:
        """Checksums of the records in tables; records of earlier versions of the code are in no table."""
        return {record.checksum for row in self.rows for record in row.records}

    @property
    def draws_runs(self) -> bool:
        """Whether the pages of runs have plots; the page of the submission has one of all seeds."""
        return len(self.records) <= MOST_RUNS_DRAWN

    @property
    def draws_rows(self) -> bool:
        """Whether the pages of submissions have plots; with more rows, use `bench plot`."""
        return len(self.rows) <= MOST_ROWS_DRAWN

    @cached_property
    def tracks(self) -> dict[str, Track]:
        """The shipped tracks, by name."""
        return load_tracks()

    def title_of(self, track: str) -> str:
        """Return the title of a track."""
        return self.tracks[track].title if track in self.tracks else track


def index_sections(source: SiteData) -> Iterator[Section]:
    """Yield the sections of the front page: a short ranking per track, claims, failed runs, refused uploads."""
    for track, group in groupby(source.tables, key=lambda item: item.protocol.track):
        yield _short_ranking(source, track, list(group))
    claims = claims_table(source.rows)
    if claims is not None:
        yield Section("Claims of the papers", tables=[claims])
    yield from failed_runs([record for record in source.records if record.protocol.profile == OFFICIAL])
    if source.collected.refused:
        rows = [refused_cells(refusal) for refusal in source.collected.refused]
        cells = [[Cell(text, is_head=index == 0, is_plain=True) for index, text in enumerate(row)] for row in rows]
        yield Section("Refused", [REFUSED_TEXT], [Table(REFUSED_TITLES, cells, "Refused uploads")])
    if source.problems:
        yield Section("Unreadable records", lines=list(source.problems))


def _short_ranking(source: SiteData, track: str, items: list[Comparison]) -> Section:
    official = [item for item in items if item.protocol.profile == OFFICIAL]
    rows = [compared.row for item in items for compared in item.rows]
    names = {row.label for row in rows if row.representative.identity.submission != REAL_IMAGES}
    runs = sum(len(row.records) for row in rows)
    text = [f"Submissions and variants: {len(names)}. Runs: {runs}."]
    if not any(ranks(item) for item in official):
        profiles = sorted({item.protocol.profile for item in items} - {OFFICIAL})
        shown = f" The table shows runs of profile {', '.join(profiles)}." if profiles and not official else ""
        text.append(NO_RANKS + shown)
    links = [Link("All results, plots and failed runs", track_page(track))]
    if track in source.tracks:
        links.append(Link("Rules", rules_page(track)))
    return Section(
        source.title_of(track),
        text,
        [_comparison(item, keys=[*SHORT_COLUMNS, *_asked_for(item)]) for item in official or items],
        links=links,
    )


def _asked_for(item: Comparison) -> set[str]:
    """Return the columns of the metrics that the table's track asks for."""
    return {key for row in item.rows for record in row.row.records for key in record.shown_metrics}


def claims_table(rows: Sequence[Row]) -> Table | None:
    """Return the table of claims and verdicts; None without claims."""
    claims = [(verdict, row) for row in rows for verdict in verdicts([row])]
    if not claims:
        return None
    claim_texts = [verdict.cells() for verdict, _ in claims]
    titles, cells = titles_of(claim_texts), []
    for texts, (_, row) in zip(claim_texts, claims, strict=True):
        cells.append(
            [
                Cell(
                    texts[title],
                    link=submission_page(row.representative) if title == "submission" else "",
                    style=style_of(texts[title]) if title == "verdict" else "",
                )
                for title in titles
            ]
        )
    summary = tally([verdict for verdict, _ in claims])
    return Table(titles, cells, CAPTION, f"{summary}\n{LEGEND}")


def failed_runs(records: Sequence[Record], title: str = "Failed runs") -> Iterator[Section]:
    """Yield a section with the table of all failed runs; nothing if there are none."""
    failed = [record for record in records if record.status != "ok"]
    if failed:
        yield Section(title, tables=[runs_table("Runs without a result", failed, [])])


def track_sections(source: SiteData, track: str) -> Iterator[Section]:
    """Yield the sections of a track's page: rules, tables, Pareto plots, training curves and failed runs."""
    items = [item for item in source.tables if item.protocol.track == track]
    for item in items:
        official = item.protocol.profile == OFFICIAL
        title = "Ranking" if official else f"Profile {item.protocol.profile} (unranked)"
        yield Section(title, text=[_rules(item)], tables=[_comparison(item)])
        figures = [*pareto_figures(item), *protocol_curves(item)]
        if figures:
            yield Section(f"{'Ranking' if official else item.protocol.profile}: plots", figures=figures)
    records = [record for record in source.records if record.protocol.track == track]
    yield from failed_runs([record for record in records if record.protocol.profile == OFFICIAL])
    others = [record for record in records if record.protocol.profile != OFFICIAL]
    yield from failed_runs(others, "Failed runs of other profiles (unranked)")


def rules_of(track: Track) -> Iterator[Section]:
    """Yield the sections of the page with a track's rules."""
    for title, text in rules_sections(track, describe(track.data), find_contest()):
        yield Section(title or "In short", markdown=text)


def _comparison(item: Comparison, keys: Sequence[str] | None = None) -> Table:
    """Return the table of one protocol with its legend; with ``keys`` only those columns."""
    shown = item if keys is None else replace(item, columns=[c for c in item.columns if c.key in keys])
    legend = ["± is the standard deviation over seeds."]
    if any(compared.cells["params"].text.endswith(" =") for compared in item.rows):
        legend.append("= marks a parameter count that equals the paper's.")
    return comparison_table(item, "\n".join([" ".join(legend), *legend_of([shown])]), keys)


def _rules(item: Comparison) -> str:
    protocol = item.protocol
    limits = protocol.caps.model_dump()
    caps = [f"at most {limits[name]:,} {of}" for name, of in CAP_NAMES.items() if limits.get(name) is not None]
    samples = f", {protocol.samples:,} samples" if protocol.samples else ""
    ranking = f", ranked by the {protocol.metric.best} {protocol.metric.label}" if protocol.rank_by else ""
    images = f" ({protocol.evaluation_images:,} images)" if protocol.evaluation_images else ""
    return (
        f"{protocol.steps:,} optimisation steps on {protocol.train} of {protocol.data}, scored on "
        f"{protocol.evaluate}{images}{samples}{ranking}{'; ' if caps else ''}{', '.join(caps)}. "
        f"Protocol {protocol.hash}."
    )
