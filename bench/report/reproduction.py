"""``bench reproduction``: every claim of the papers, what our official records say of it, and what that cost."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.contract.manifest import BASE_VARIANT, Claim, Claims, label_of
from bench.contract.records import REAL_IMAGES
from bench.contract.tracks import OFFICIAL
from bench.report.ablation import ablation_cells, ablation_legend, ordered_variants
from bench.report.claims import with_claims
from bench.report.costs import LEGEND as COST_LEGEND
from bench.report.costs import cost_grid
from bench.report.papers import Entry, heading_of, paper_key
from bench.report.quantities import QUANTITIES
from bench.report.summary import Row, summarize
from bench.report.tables import NOTHING, grid, spread_text
from bench.report.tried import tried_grid
from bench.report.verdict import Verdict, tally, verdicts
from bench.report.verdict_command import OUTCOMES, RULES, SPREADS

NOT_RUN = "not run"
INTRODUCTION = """\
# The reproduction: what the papers claim, and what came out here

Made by `bench reproduction submissions/*` from the manifests and from the official records in `results/`; a test
keeps it current. `make reproduce` repeats the runs. What a paper leaves open, what was chosen, and what was found
when a figure was missed, is in [papers.md](papers.md); the figures of samples are explained in
[metrics.md](metrics.md). Parameter counts of what was not run are not listed: a test counts every submission and
variant.

*As published* is the trained network measured the way the paper's author seems to have done it; *soundly* is the
harness's own way, on the same weights: running statistics, every image once, the last weights, no choice of a
seed by its test score. A claim is set beside the figure that was measured as the paper measured its own."""

ABOUT_SPREADS = """\
## What a paper's ± is

A ± over the batches of one evaluation, or over pairs of images, says how few images a batch has, not how far
another training may end from this one. Beside it: the same spread in our runs, what pure chance gives for batches
of that size (binomial), and the spread over seeds, which is what a difference between two networks has to be
compared with."""
ABOUT_TRIED = (
    "What was tried, scored on validation images (profile `tuning`, records in `results/tuning`); train figures "
    "are means over the last tenth of the steps, and a dash is a setting that the code of the time did not have:"
)
# What a paper's ± is taken over, as our runs measure it as published.
SAME_SPREAD = {"top1_accuracy": "std_over_batches", "lpips": "lpips_real_images_std"}


@dataclass(frozen=True)
class Line:
    """One claim: the paper's figure, and what the records say, if there are any."""

    label: str
    quantity: str
    claim: Claim
    row: Row | None
    verdict: Verdict | None


def reproduction_text(entries: Sequence[Entry], rows: Sequence[Row], tried: Sequence[Row] = ()) -> str:
    """The whole document, Markdown.

    Args:
        entries: The submissions, by paper, as ``read_entries`` gives them.
        rows: Of whatever records there are; official ones are used.
        tried: What was tried on validation images, as ``read_tried`` gives it.
    """
    manifests = {entry.name: entry.manifest for entry in entries}
    records = [record for row in rows for record in row.records if record.protocol.profile == OFFICIAL]
    rows = summarize(with_claims(records, manifests))
    return "\n\n".join(_blocks([entry for entry in entries if entry.manifest.paper], rows, tried)) + "\n"


def _blocks(entries: Sequence[Entry], rows: Sequence[Row], tried: Sequence[Row]) -> Iterator[str]:
    lines = {entry.name: list(_lines(entry, rows)) for entry in entries}
    everything = [line for group in lines.values() for line in group]
    yield INTRODUCTION
    yield f"{OUTCOMES} {SPREADS} {RULES}"
    yield f"**{_tally(everything)}**"
    for _, group in groupby(entries, key=paper_key):
        members = [entry for entry in group if lines[entry.name]]
        if members:
            yield heading_of(members[0].manifest)
        for entry in members:
            yield f"### {entry.name}\n\nTrack `{entry.track.name}`; [audit](papers.md#{entry.name})."
            yield _claims_grid(lines[entry.name])
            yield from _ablation(entry, rows)
            own = [row for row in tried if row.first.identity.submission == entry.name]
            if own:
                yield ABOUT_TRIED
                yield tried_grid(own, "github")
    spreads = [cells for line in everything if (cells := _spread_cells(line))]
    if spreads:
        titles = ("submission", "claim", "the paper's ±", "taken over", "same in ours", "by chance", "over seeds")
        yield ABOUT_SPREADS
        yield grid(titles, spreads, "github")
    measured = [row for row in rows if row.finished and row.first.identity.submission != REAL_IMAGES]
    if measured:
        yield "## What it cost"
        yield cost_grid(measured, "github")
        yield COST_LEGEND


def _lines(entry: Entry, rows: Sequence[Row]) -> Iterator[Line]:
    """Every claim of a submission and its variants, each as often as there are rows of it, or once."""
    manifest = entry.manifest
    for variant in (BASE_VARIANT, *manifest.ablations):
        claims, identity = manifest.claims_of(variant), (entry.name, variant)
        own = [row for row in rows if (row.first.identity.submission, row.first.identity.variant) == identity]
        for row in own:
            for verdict in verdicts([row]):
                yield Line(row.label, verdict.quantity, _claim(row.claims, verdict.quantity), row, verdict)
        if not own:
            label = label_of(entry.name, variant)
            for quantity in QUANTITIES:
                if quantity != "params" and getattr(claims, quantity) is not None:
                    yield Line(label, quantity, _claim(claims, quantity), None, None)


def _claim(claims: Claims, quantity: str) -> Claim:
    claim: Claim | int = getattr(claims, quantity)
    return Claim(mean=claim) if isinstance(claim, int) else claim


def _tally(lines: Sequence[Line]) -> str:
    found = [line.verdict for line in lines if line.verdict is not None]
    return tally(found, not_run=len(lines) - len(found))


def _claims_grid(lines: Sequence[Line]) -> str:
    titles = ["submission", "claim", "paper", "ours", "difference [90 %]", "expected [95 %]", "soundly", "verdict"]
    return grid(titles, [_claim_cells(line) for line in lines], "github")


def _claim_cells(line: Line) -> list[str]:
    unit, claim, verdict = QUANTITIES[line.quantity], line.claim, line.verdict
    as_published = ", as published" if claim.protocol == "as-published" else ""
    paper = unit.text(claim.mean) + ("" if claim.std is None else f" ± {unit.text(claim.std)}") + unit.unit
    paper += f", the best of {claim.selected}" if claim.selected else ""
    cells = [line.label, unit.title + as_published, paper]
    if verdict is None:
        return [*cells, *[NOTHING] * 4, NOT_RUN]
    shown = verdict.cells()
    said = verdict.verdict + (f": {verdict.why}" if verdict.why else "")
    if verdict.rests_on and verdict.verdict in ("reproduced", "consistent"):
        said += f"; rests on {verdict.rests_on}"
    figures = [shown[title] for title in ("ours", "difference [90 %]", "expected [95 %]")]
    return [*cells, *figures, _soundly(line), said]


def _soundly(line: Line) -> str:
    """The harness's own figure of the same runs, where the claim is set beside another."""
    if line.row is None or line.claim.protocol != "as-published" or line.quantity not in ("top1_accuracy", "fid"):
        return NOTHING
    unit = QUANTITIES[line.quantity]
    return spread_text(line.row.metric(line.row.score_name), unit.scale, with_n=False) + unit.unit


def _ablation(entry: Entry, rows: Sequence[Row]) -> Iterator[str]:
    """What each variant that was run changes, under each protocol that has the base too."""
    own = [row for row in rows if row.first.identity.submission == entry.name and row.finished]
    texts = {name: variant.what for name, variant in entry.manifest.ablations.items()}
    for _, group in groupby(own, key=lambda row: row.key._replace(variant="")):
        members = list(group)
        if len(members) > 1 and any(row.first.identity.variant == BASE_VARIANT for row in members):
            base, members = ordered_variants(members, texts)
            yield "What each change does, paired by seed (`bench ablate`):"
            yield grid(*ablation_cells(base, members, texts), "github")
            yield ablation_legend(base, members)


def _spread_cells(line: Line) -> list[str] | None:
    """The paper's ± beside three of ours; None where the paper has none."""
    claim, unit = line.claim, QUANTITIES[line.quantity]
    if claim.std is None:
        return None
    batches = chance = seeds = NOTHING
    if line.row is not None and line.verdict is not None and line.verdict.measured is not None:
        std = line.verdict.measured.std
        seeds = NOTHING if std is None else unit.text(std)
    if line.row is not None and line.quantity in SAME_SPREAD:
        same = line.row.as_published(SAME_SPREAD[line.quantity])
        batches = NOTHING if same is None else unit.text(same.mean)
    batch_size = _batch_size(line)
    if batch_size is not None:
        chance = unit.text(math.sqrt(claim.mean * (1 - claim.mean) / batch_size))
    return [line.label, unit.title, unit.text(claim.std), claim.over or "not said", batches, chance, seeds]


def _batch_size(line: Line) -> int | None:
    """Of the batches that an accuracy's ± is over: the author's in evaluation if it is known, else training's."""
    if line.row is None or line.quantity not in ("top1_accuracy", "train_accuracy"):
        return None
    record = line.row.first
    if line.quantity == "top1_accuracy" and record.as_published is not None:
        return record.as_published.batch_size
    return None if record.training is None else record.training.batch_size
