"""The page of a submission: what it claims, what its runs gave, its ablations, and the audit of its paper."""

from collections.abc import Iterator
from itertools import groupby

from bench.contract.class_names import class_names
from bench.contract.manifest import BASE_VARIANT, Manifest
from bench.contract.records import Record
from bench.errors import UsageError
from bench.report.ablation import ablation_cells, ablation_legend, ordered_variants
from bench.report.comparison import Comparison
from bench.report.papers import SOURCES
from bench.report.plots.classes import class_accuracies, extremes
from bench.report.site.drawings import ablation_drawing, class_drawing, first_pictures, row_curves
from bench.report.site.pages import Source, claims_table
from bench.report.site.views import Cell, Section, Table, runs_table, text_table
from bench.report.summary import Row
from bench.report.tables import NOTHING

COST_TITLES = ("what it costs", "counted")


def submission_sections(source: Source, name: str) -> Iterator[Section]:
    """All parts of the page, of the protocols that it was run under."""
    manifest = source.manifests.get(name)
    tables = [(item, source.rows_of.get((item.protocol.hash, name), [])) for item in source.tables]
    rows = [row for _, own in tables for row in own]
    if manifest is not None:
        yield Section("What it is", text=list(_about(manifest)))
    claims = claims_table(sorted(rows, key=lambda row: row.first.identity.variant != BASE_VARIANT))
    if claims is not None:
        yield Section("What the paper claims", tables=[claims])
    for item, own in tables:
        if own:
            yield from _protocol_sections(source, item, own, manifest)
    yield from _runs(source, name)
    if manifest is not None:
        yield from _audit(manifest)


def _about(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest.summary}."
    paper = manifest.paper
    if paper is not None:
        by = f" {', '.join(paper.authors)}{f', {paper.year}' if paper.year else ''}." if paper.authors else ""
        yield f"Paper: {paper.title}.{by}{f' {paper.url}' if paper.url else ''}"
        if paper.code:
            yield f"The author's code: {paper.code}."
    if manifest.as_published is not None:
        published = manifest.as_published
        yield f"As published: {published.mode} mode, batches of {published.batch_size}. {published.why}"


def _protocol_sections(
    source: Source, item: Comparison, rows: list[Row], manifest: Manifest | None
) -> Iterator[Section]:
    protocol = item.protocol
    where = f"{protocol.track}, {protocol.profile}"
    base = next((row for row in rows if row.first.identity.variant == BASE_VARIANT), rows[0])
    key = f"{protocol.track}-{protocol.profile}-{protocol.hash}"
    hint = [] if source.draws_rows else [f"`bench plot curves {base.label}` draws its trainings."]
    section = Section(where, text=hint)
    if base.finished:
        section.tables.append(_figures_table(base))
    if base.first.cost is not None:
        section.tables.append(_cost_table(base.first))
    if source.draws_rows:
        section.figures += [*row_curves(base, f"curves-{key}"), *class_drawing(base, f"classes-{key}")]
    if class_accuracies(base) is not None:
        section.tables.append(_classes_table(base))
    section.pictures = first_pictures(base, source.results)
    if section.tables:
        yield section
    if len(rows) > 1:
        yield from _ablation(rows, manifest, where, key)


def _figures_table(row: Row) -> Table:
    """Every metric: mean and standard deviation over seeds, and each seed."""
    seeds = [record.identity.seed for record in row.finished]
    names = {name: False for r in row.finished if r.evaluation for name in r.evaluation.metrics}
    published = {name: True for r in row.finished if r.evaluation for name in r.evaluation.as_published}
    lines = []
    for name, as_published in [*names.items(), *published.items()]:
        values = row.by_seed(name, as_published=as_published)
        spread = row.as_published(name) if as_published else row.metric(name)
        assert spread is not None
        mean = f"{spread.mean:.5g}" + ("" if spread.std is None else f" ± {spread.std:.2g}")
        each = [
            Cell(f"{values[seed]:.5g}", repr(values[seed])) if seed in values else Cell(NOTHING) for seed in seeds
        ]
        lines.append(
            [
                Cell(name + (", as published" if as_published else ""), head=True),
                Cell(mean, repr(spread.mean)),
                *each,
            ]
        )
    titles = ["metric", f"mean ± std (n={len(seeds)})", *(f"seed {seed}" for seed in seeds)]
    status = f"{row.label}: {row.status}."
    return Table("Metrics, as records have them (accuracies as fractions)", titles, lines, status)


def _cost_table(record: Record) -> Table:
    cost = record.cost
    assert cost is not None
    lines = [
        ("parameters counted against the cap", f"{cost.params:,}"),
        ("stored scalars of the inference network", f"{cost.stored_scalars:,}"),
        ("multiply-accumulates per image", f"{cost.bound}{cost.macs_per_image:,}"),
        ("network evaluations a sample", f"{cost.evaluations_per_sample:,}"),
        ("training FLOPs a step", f"{cost.training_flops_per_step:,}"),
    ]
    return text_table("Cost", COST_TITLES, lines)


def _classes_table(row: Row) -> Table:
    best, worst = extremes(row, class_names(row.first.protocol.data))
    lines = [
        (best_name, f"{100 * best_value:.1f}", worst_name, f"{100 * worst_value:.1f}")
        for (best_name, best_value), (worst_name, worst_value) in zip(best, worst, strict=True)
    ]
    return text_table(
        "The best and the worst classes, mean over seeds",
        ("best class", "accuracy, %", "worst class", "accuracy, %"),
        lines,
    )


def _ablation(rows: list[Row], manifest: Manifest | None, where: str, key: str) -> Iterator[Section]:
    texts = {name: variant.what for name, variant in manifest.ablations.items()} if manifest else {}
    try:
        base, rows = ordered_variants(rows, texts)
    except UsageError:
        return
    titles, cells = ablation_cells(base, rows, texts)
    table = text_table(f"Variants: {where}", titles, cells, legend=ablation_legend(base, rows))
    yield Section(
        f"Ablation: {where}", tables=[table], figures=list(ablation_drawing(rows, texts, f"ablation-{key}"))
    )


def _runs(source: Source, name: str) -> Iterator[Section]:
    own = sorted(
        source.by_submission[name],
        key=lambda r: (r.protocol.track, r.protocol.profile, r.identity.variant, r.identity.seed),
    )
    tables = []
    for (track, profile), group in groupby(own, key=lambda r: (r.protocol.track, r.protocol.profile)):
        records = list(group)
        tables.append(
            runs_table(
                f"Runs of {track}, {profile}",
                records,
                [("score", _score, ".5g"), ("training s", _seconds, ",.0f")],
            )
        )
    earlier = [record for record in own if record.checksum not in source.shown]
    text = (
        [f"{len(earlier)} of them are of an earlier version of its code and stand in no other table."]
        if earlier
        else []
    )
    yield Section("Runs", text=text, tables=tables)


def _score(record: Record) -> float | None:
    name = Row((record,)).score_name
    return record.evaluation.metrics.get(name) if record.evaluation else None


def _seconds(record: Record) -> float | None:
    return record.timing.training_seconds


def _audit(manifest: Manifest) -> Iterator[Section]:
    if manifest.notes:
        yield Section("What was found", text=manifest.notes)
    if manifest.faults:
        lines = [(fault.says, fault.found, fault.evidence) for fault in manifest.faults]
        table = text_table(
            "Statements of the paper that do not hold, or do not fit one another",
            ("it says", "but", "evidence"),
            lines,
        )
        yield Section("What the paper gets wrong, or says in two ways", tables=[table])
    if manifest.choices:
        choices = [(c.what, c.chosen, c.why, str(c.source)) for c in manifest.choices]
        used = {choice.source for choice in manifest.choices}
        legend = " ".join(f"{name}: {what}." for name, what in SOURCES.items() if name in used)
        table = text_table("Choices", ("what", "chosen", "why", "source"), choices, legend=legend)
        yield Section("What the paper leaves open, and what was chosen", tables=[table])
