"""``bench reproduction``: the papers' claims, our official results, the verdicts, and the cost of the runs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.contract.manifest import BASE_VARIANT, REAL_IMAGES, Claim, Claims, label_of
from bench.contract.metrics import CLAIMED, PARAMS, TOP1, TRAIN_ACCURACY, Metric
from bench.contract.tracks import OFFICIAL
from bench.report.claims.ablation import ablation_cells, ablation_legend, ordered_variants
from bench.report.claims.costs import LEGEND as COST_LEGEND
from bench.report.claims.costs import cost_grid
from bench.report.claims.papers import PaperEntry, heading_of, paper_key
from bench.report.claims.tuning_runs import tried_grid
from bench.report.claims.verdict import Verdict, tally, verdicts
from bench.report.claims.verdict_command import OUTCOMES, RULES, SPREADS
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_claims
from bench.report.tables.text import MISSING, grid, spread_text, value_text, with_unit
from bench.stats.spreads import Spread

NOT_RUN = "not run"
INTRODUCTION = """\
# Reproduction of the papers

Made by `bench reproduction submissions/*` from the manifests and the official records in `results/`; a test keeps
it current. `make reproduce` repeats the runs. Unspecified details, our choices, and the analysis of claims that
were not met are in [papers.md](papers.md); the metrics of generators are explained in [metrics.md](metrics.md).
Parameter counts of submissions that were not run are not listed; a test checks the count of every submission and
variant.

*As published* is the trained network evaluated as the paper's author seems to have done; *harness* is the
harness's own evaluation of the same weights: running statistics in batch normalisation, every image once, the last
weights, and no seed selected by its test score. A claim is compared with the evaluation that the paper used."""

ABOUT_SPREADS = """\
## The meaning of a paper's ±

A ± over the batches of one evaluation, or over pairs of images, is caused by the small number of images per batch.
It does not say how much the result varies between trainings. The table compares it with the same spread in our
runs, with the binomial standard deviation for batches of that size, and with the standard deviation over seeds,
which is the relevant one for a difference between two networks."""
ABOUT_TRIED = (
    "Experiments scored on validation images (profile `tuning`, records in `results/tuning`). Train metrics are "
    "means over the last 10 % of the steps; a dash is a setting that the code did not have at the time:"
)
# Claim whose ± the paper takes over batches or pairs -> name of the same spread in our results as published.
SAME_SPREAD = {"top1_accuracy": "std_over_batches", "lpips": "lpips_real_images_std"}


@dataclass(frozen=True)
class ClaimLine:
    """One claim: the paper's value, and the verdict of the records, if there are any."""

    label: str
    metric: Metric
    claim: Claim
    row: Row | None
    verdict: Verdict | None


def reproduction_text(entries: Sequence[PaperEntry], rows: Sequence[Row], tried: Sequence[Row] = ()) -> str:
    """Return the document as Markdown.

    Args:
        entries: The submissions, sorted by paper, as returned by ``read_entries``.
        rows: Rows of any profile; only official ones are used.
        tried: Experiments on validation images, as returned by ``read_tried``.
    """
    rows = official_rows(entries, rows)
    return "\n\n".join(_blocks([entry for entry in entries if entry.manifest.paper], rows, tried)) + "\n"


def official_rows(entries: Sequence[PaperEntry], rows: Sequence[Row]) -> list[Row]:
    """Return the official ones of ``rows``, with the claims of the entries' manifests."""
    manifests = {entry.name: entry.manifest for entry in entries}
    records = [record for row in rows for record in row.records if record.protocol.profile == OFFICIAL]
    return summarize(with_claims(records, manifests))


def _blocks(entries: Sequence[PaperEntry], rows: Sequence[Row], tried: Sequence[Row]) -> Iterator[str]:
    lines = {entry.name: list(claim_lines(entry, rows)) for entry in entries}
    everything = [line for group in lines.values() for line in group]
    yield INTRODUCTION
    yield f"{OUTCOMES} {SPREADS} {RULES}"
    yield f"**{tally_lines(everything)}**"
    for _, group in groupby(entries, key=paper_key):
        members = [entry for entry in group if lines[entry.name]]
        if members:
            yield heading_of(members[0].manifest)
        for entry in members:
            yield f"### {entry.name}\n\nTrack `{entry.track.name}`; [audit](papers.md#{entry.name})."
            yield _claims_grid(lines[entry.name])
            yield from _ablation(entry, rows)
            experiments = [row for row in tried if row.representative.identity.submission == entry.name]
            if experiments:
                yield ABOUT_TRIED
                yield tried_grid(experiments, "github")
    spreads = [cells for line in everything if (cells := _spread_cells(line))]
    if spreads:
        titles = (
            "submission",
            "claim",
            "paper's ±",
            "over",
            "ours, over the same",
            "binomial",
            "ours, over seeds",
        )
        yield ABOUT_SPREADS
        yield grid(titles, spreads, "github")
    measured = [row for row in rows if row.finished and row.representative.identity.submission != REAL_IMAGES]
    if measured:
        yield "## Cost"
        yield cost_grid(measured, "github")
        yield COST_LEGEND


def claim_lines(entry: PaperEntry, rows: Sequence[Row]) -> Iterator[ClaimLine]:
    """Yield every claim of a submission and its variants: once per row, or once if there is no row."""
    manifest = entry.manifest
    for variant in (BASE_VARIANT, *manifest.ablations):
        claims, identity = manifest.claims_of(variant), (entry.name, variant)
        variant_rows = [
            row
            for row in rows
            if (row.representative.identity.submission, row.representative.identity.variant) == identity
        ]
        for row in variant_rows:
            for verdict in verdicts([row]):
                yield ClaimLine(row.label, verdict.metric, _claim(row.claims, verdict.metric), row, verdict)
        if not variant_rows:
            label = label_of(entry.name, variant)
            for key, metric in CLAIMED.items():
                if metric != PARAMS and getattr(claims, key) is not None:
                    yield ClaimLine(label, metric, _claim(claims, metric), None, None)


def _claim(claims: Claims, metric: Metric) -> Claim:
    claim: Claim | int = getattr(claims, metric.key)
    return Claim(mean=claim) if isinstance(claim, int) else claim


def tally_lines(lines: Sequence[ClaimLine]) -> str:
    judged = [line.verdict for line in lines if line.verdict is not None]
    return tally(judged, not_run=len(lines) - len(judged))


def _claims_grid(lines: Sequence[ClaimLine]) -> str:
    titles = ["submission", "claim", "paper", "ours", "difference [90 %]", "expected [95 %]", "harness", "verdict"]
    return grid(titles, [_claim_cells(line) for line in lines], "github")


def _claim_cells(line: ClaimLine) -> list[str]:
    metric, claim, verdict = line.metric, line.claim, line.verdict
    as_published = ", as published" if claim.protocol == "as-published" else ""
    paper = with_unit(Spread(claim.mean, claim.std, claim.runs), metric)
    paper += f", the best of {claim.selected}" if claim.selected else ""
    cells = [line.label, metric.label + as_published, paper]
    if verdict is None:
        return [*cells, *[MISSING] * 4, NOT_RUN]
    texts = verdict.cells()
    outcome = verdict.verdict + (f": {verdict.why}" if verdict.why else "")
    if verdict.rests_on and verdict.verdict in ("reproduced", "consistent"):
        outcome += f"; rests on {verdict.rests_on}"
    values = [texts[title] for title in ("ours", "difference [90 %]", "expected [95 %]")]
    return [*cells, *values, _harness_score(line), outcome]


def _harness_score(line: ClaimLine) -> str:
    """Return the score of the same runs by the harness's evaluation, if the claim is compared as published."""
    if line.row is None or line.claim.protocol != "as-published" or line.metric.key != line.row.claimed_score.key:
        return MISSING
    return (
        spread_text(line.row.metric(line.row.claimed_score.name), line.row.claimed_score, with_n=False)
        + line.metric.unit
    )


def _ablation(entry: PaperEntry, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the ablation table of each protocol that has results of the base and of a variant."""
    finished = [row for row in rows if row.representative.identity.submission == entry.name and row.finished]
    texts = {name: variant.what for name, variant in entry.manifest.ablations.items()}
    for _, group in groupby(finished, key=lambda row: row.key._replace(variant="")):
        members = list(group)
        if len(members) > 1 and any(row.representative.identity.variant == BASE_VARIANT for row in members):
            base, members = ordered_variants(members, texts)
            yield "Ablation, paired by seed (`bench ablate`):"
            yield grid(*ablation_cells(base, members, texts), "github")
            yield ablation_legend(base, members)


def _spread_cells(line: ClaimLine) -> list[str] | None:
    """Return the cells of the paper's ± and of three spreads of ours; None if the paper has no ±."""
    claim, metric = line.claim, line.metric
    if claim.std is None:
        return None
    batches = chance = seeds = MISSING
    if line.row is not None and line.verdict is not None and line.verdict.measured is not None:
        std = line.verdict.measured.std
        seeds = MISSING if std is None else value_text(std, metric)
    if line.row is not None and line.metric.key in SAME_SPREAD:
        same = line.row.as_published(SAME_SPREAD[line.metric.key])
        batches = MISSING if same is None else value_text(same.mean, metric)
    batch_size = _batch_size(line)
    if batch_size is not None:
        chance = value_text(math.sqrt(claim.mean * (1 - claim.mean) / batch_size), metric)
    return [
        line.label,
        metric.label,
        value_text(claim.std, metric),
        claim.over or "not stated",
        batches,
        chance,
        seeds,
    ]


def _batch_size(line: ClaimLine) -> int | None:
    """Return the batch size behind an accuracy's ±: the author's in evaluation if known, else the training's."""
    if line.row is None or line.metric not in (TOP1, TRAIN_ACCURACY):
        return None
    record = line.row.representative
    if line.metric == TOP1 and record.as_published is not None:
        return record.as_published.batch_size
    return None if record.training is None else record.training.batch_size
