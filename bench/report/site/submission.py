"""The page of a submission: its claims, results, ablations and runs, and the audit of its paper."""

from collections.abc import Iterator
from itertools import groupby

from bench.contract.manifest import BASE_VARIANT, Manifest
from bench.contract.records.record import Record
from bench.data.store import class_names
from bench.errors import UsageError
from bench.report.claims.ablation import ablation_cells, ablation_legend, ordered_variants
from bench.report.claims.papers import SOURCES
from bench.report.plots.classes import class_accuracies, extremes
from bench.report.records.aggregate import Row
from bench.report.site.figures import ablation_figure_of, class_figure, first_pictures, row_curves
from bench.report.site.pages import SiteData, claims_table
from bench.report.site.views import Section, runs_table
from bench.report.tables.comparison import Comparison
from bench.report.tables.table import Cell, Table
from bench.report.tables.text import MISSING

COST_TITLES = ("cost", "count")


def submission_sections(source: SiteData, name: str) -> Iterator[Section]:
    """Yield the sections of the page, for all protocols of the submission's runs."""
    manifest = source.manifests.get(name)
    tables = [(item, source.rows_of.get((item.protocol.hash, name), [])) for item in source.tables]
    rows = [row for _, members in tables for row in members]
    team = source.collected.teams.get(name)
    if manifest is not None or team is not None:
        overview = Section("Overview", text=[] if manifest is None else list(_overview(manifest)))
        if team is not None:
            cells = [[Cell("team", is_head=True), Cell(team, is_plain=True)]]
            overview.tables.append(Table(("fact", "value"), cells, "Handed in", is_sortable=False))
        yield overview
    claims = claims_table(sorted(rows, key=lambda row: row.representative.identity.variant != BASE_VARIANT))
    if claims is not None:
        yield Section("Claims of the paper", tables=[claims])
    for item, members in tables:
        if members:
            yield from _protocol_sections(source, item, members, manifest)
    yield from _runs(source, name)
    if manifest is not None:
        yield from _audit(manifest)


def _overview(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest.summary}."
    paper = manifest.paper
    if paper is not None:
        authors = f" {', '.join(paper.authors)}{f', {paper.year}' if paper.year else ''}." if paper.authors else ""
        yield f"Paper: {paper.title}.{authors}{f' {paper.url}' if paper.url else ''}"
        if paper.code:
            yield f"The author's code: {paper.code}."
    if manifest.as_published is not None:
        published = manifest.as_published
        yield f"As published: {published.mode} mode, batch size {published.batch_size}. {published.why}"


def _protocol_sections(
    source: SiteData, item: Comparison, rows: list[Row], manifest: Manifest | None
) -> Iterator[Section]:
    protocol = item.protocol
    protocol_name = f"{protocol.track}, {protocol.profile}"
    base = next((row for row in rows if row.representative.identity.variant == BASE_VARIANT), rows[0])
    key = f"{protocol.track}-{protocol.profile}-{protocol.hash}"
    hint = [] if source.draws_rows else [f"Plot its training curves with `bench plot curves {base.label}`."]
    section = Section(protocol_name, text=[*hint, *_failures(base)])
    if base.finished:
        section.tables.append(_metrics_table(base))
    if base.representative.cost is not None:
        section.tables.append(_cost_table(base.representative))
    if source.draws_rows:
        section.figures += [*row_curves(base, f"curves-{key}"), *class_figure(base, f"classes-{key}")]
    if class_accuracies(base) is not None:
        section.tables.append(_classes_table(base))
    section.pictures = first_pictures(base, source.results)
    if section.tables or section.text:
        yield section
    if len(rows) > 1:
        yield from _ablation(rows, manifest, protocol_name, key)


def _failures(row: Row) -> Iterator[str]:
    """Yield each reason for which runs failed, in full, with the seeds of these runs."""
    seeds: dict[tuple[str, str | None], list[int]] = {}
    for record in row.records:
        if record.status != "ok":
            seeds.setdefault((record.status, record.reason), []).append(record.identity.seed)
    for (status, reason), failed in seeds.items():
        noun = "seed" if len(failed) == 1 else "seeds"
        yield f"Failed, {noun} {', '.join(map(str, failed))}: {status}: {reason}"


def _metrics_table(row: Row) -> Table:
    """Return the table of all metrics: mean and standard deviation over seeds, and the value of each seed."""
    seeds = [record.identity.seed for record in row.finished]
    names = {name: False for r in row.finished if r.evaluation for name in r.evaluation.metrics}
    published = {name: True for r in row.finished if r.evaluation for name in r.evaluation.as_published}
    lines = []
    for name, as_published in [*names.items(), *published.items()]:
        values = row.by_seed(name, as_published=as_published)
        spread = row.as_published(name) if as_published else row.metric(name)
        assert spread is not None
        mean = f"{spread.mean:.5g}" + ("" if spread.std is None else f" ± {spread.std:.2g}")
        by_seed = [
            Cell(f"{values[seed]:.5g}", values[seed]) if seed in values else Cell(MISSING) for seed in seeds
        ]
        lines.append(
            [
                Cell(name + (", as published" if as_published else ""), is_head=True),
                Cell(mean, spread),
                *by_seed,
            ]
        )
    titles = ["metric", f"mean ± std (n={len(seeds)})", *(f"seed {seed}" for seed in seeds)]
    status = f"{row.label}: {row.status}."
    return Table(titles, lines, "Metrics (accuracies as fractions)", status)


def _cost_table(record: Record) -> Table:
    cost = record.cost
    assert cost is not None
    lines = [
        ("parameters counted against the cap", f"{cost.params:,}"),
        ("stored scalars of the inference network", f"{cost.stored_scalars:,}"),
        ("multiply-accumulates per image", f"{cost.bound}{cost.macs_per_image:,}"),
        ("network evaluations per sample", f"{cost.evaluations_per_sample:,}"),
        ("training FLOPs per step", f"{cost.training_flops_per_step:,}"),
    ]
    if cost.weight_bytes is not None:
        lines.append(("bytes of the weights", f"{cost.weight_bytes:,}"))
    return Table.of_text(COST_TITLES, lines, caption="Cost")


def class_names_of(record: Record) -> tuple[str, ...] | None:
    """Return the class names of a record's data set in label order; None if they are not known."""
    if record.data is not None and record.data.class_names is not None:
        return record.data.class_names
    return class_names(record.protocol.data)


def _classes_table(row: Row) -> Table:
    best, worst = extremes(row, class_names_of(row.representative))
    lines = [
        (best_name, f"{100 * best_value:.1f}", worst_name, f"{100 * worst_value:.1f}")
        for (best_name, best_value), (worst_name, worst_value) in zip(best, worst, strict=True)
    ]
    titles = ("best class", "accuracy, %", "worst class", "accuracy, %")
    return Table.of_text(titles, lines, caption="Best and worst classes, mean over seeds")


def _ablation(rows: list[Row], manifest: Manifest | None, protocol_name: str, key: str) -> Iterator[Section]:
    texts = {name: variant.what for name, variant in manifest.ablations.items()} if manifest else {}
    try:
        base, rows = ordered_variants(rows, texts)
    except UsageError:
        return
    titles, cells = ablation_cells(base, rows, texts)
    legend = ablation_legend(base, rows)
    table = Table.of_text(titles, cells, caption=f"Variants: {protocol_name}", legend=legend)
    figures = list(ablation_figure_of(rows, texts, f"ablation-{key}"))
    yield Section(f"Ablation: {protocol_name}", tables=[table], figures=figures)


def _runs(source: SiteData, name: str) -> Iterator[Section]:
    all_records = sorted(
        source.by_submission[name],
        key=lambda r: (r.protocol.track, r.protocol.profile, r.identity.variant, r.identity.seed),
    )
    tables = []
    for (track, profile), group in groupby(all_records, key=lambda r: (r.protocol.track, r.protocol.profile)):
        records = list(group)
        tables.append(
            runs_table(
                f"Runs of {track}, {profile}",
                records,
                [("score", _score, ".5g"), ("training s", _seconds, ",.0f")],
            )
        )
    earlier = [record for record in all_records if record.checksum not in source.shown]
    note = f"{len(earlier)} of them are of an earlier version of the code and appear in no other table."
    text = [note] if earlier else []
    yield Section("Runs", text=text, tables=tables)


def _score(record: Record) -> float | None:
    name = record.protocol.metric.name
    return record.evaluation.metrics.get(name) if record.evaluation else None


def _seconds(record: Record) -> float | None:
    return record.timing.training_seconds


def _audit(manifest: Manifest) -> Iterator[Section]:
    if manifest.notes:
        yield Section("Findings", text=manifest.notes)
    if manifest.faults:
        lines = [(fault.says, fault.found, fault.evidence) for fault in manifest.faults]
        caption = "Statements of the paper that are wrong or contradict each other"
        table = Table.of_text(("statement", "finding", "evidence"), lines, caption=caption)
        yield Section("Errors and inconsistencies in the paper", tables=[table])
    if manifest.choices:
        choices = [(c.what, c.chosen, c.why, str(c.source)) for c in manifest.choices]
        used = {choice.source for choice in manifest.choices}
        legend = " ".join(f"{name}: {text}." for name, text in SOURCES.items() if name in used)
        titles = ("detail", "choice", "reason", "source")
        table = Table.of_text(titles, choices, caption="Choices", legend=legend)
        yield Section("Unspecified details and our choices", tables=[table])
