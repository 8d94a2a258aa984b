"""Do the records bear out each claim of a paper? The rules: ``bench/stats/claims.py`` and docs/statistics.md.

Counts have to be equal. A figure is judged by our seeds: against one run of the paper, a mean of several, or the
best of several where the paper says so. The paper's own ± is used only where it is over such runs; over the
batches of one run it says nothing about another run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.contract.manifest import Claim
from bench.contract.records import Record
from bench.contract.tracks import OFFICIAL
from bench.report.quantities import CURVES, MARGIN_SHARE, QUANTITIES, Quantity
from bench.report.summary import Row
from bench.report.tables import NOTHING, data_text
from bench.stats.claims import Claimed, Outcome, judge_claim
from bench.stats.spreads import Spread


@dataclass(frozen=True)
class Verdict:
    """One claim and what the records say of it; numbers as in records, accuracies as fractions."""

    submission: str
    quantity: str  # one of QUANTITIES
    claimed: float
    claimed_std: float | None  # over whatever the paper takes it
    claimed_runs: int  # that it is the mean of
    selected: str | None  # what it is the best of, where the author chose by this very figure
    best_of: int | None  # how many runs or trials that were; None where it is no best, or is not known
    measured: Spread | None  # ours
    ours: float | None  # what is set against the claim: our mean, or the best that as many runs of ours would give
    difference: float | None
    margin: float
    verdict: Outcome
    why: str = ""  # of an inconclusive one
    low: float | None = None  # of the difference's 90 % interval
    high: float | None = None
    expected_low: float | None = None  # of the 95 % interval in which one more experiment of ours may lie
    expected_high: float | None = None
    power: float | None = None  # how likely so many seeds say `reproduced` when there is no difference
    rests_on: str | None = None  # what else has to be true for it

    def cells(self) -> dict[str, str]:
        """What a table shows of it: column -> text."""
        unit = QUANTITIES[self.quantity]
        return {
            "submission": self.submission,
            "claim": unit.title,
            "paper": self._paper(unit),
            "ours": self._ours(unit),
            "verdict": self.verdict,
            "difference [90 %]": self._difference(unit),
            "expected [95 %]": unit.interval(self.expected_low, self.expected_high) or NOTHING,
            "margin": unit.text(self.margin),
            "power": NOTHING if self.power is None else f"{self.power:.0%}",
            "why": self.why,
            "rests on": self.rests_on or "",
        }

    def _paper(self, unit: Quantity) -> str:
        std = "" if self.claimed_std is None else f" ± {unit.text(self.claimed_std)}"
        figure = unit.text(self.claimed) + std + unit.unit
        if self.selected is not None:
            return f"{figure}, best of {self.best_of}" if self.best_of else f"{figure}, its best run"
        return f"{figure} (n={self.claimed_runs})" if self.claimed_runs > 1 else figure

    def _ours(self, unit: Quantity) -> str:
        measured = self.measured
        if measured is None:
            return NOTHING
        if self.quantity == "params":
            return unit.text(measured.mean)
        std = "" if measured.std is None else f" ± {unit.text(measured.std)}"
        mean = f"{unit.text(measured.mean)}{std}{unit.unit} (n={measured.n})"
        if not self.best_of or self.ours is None or measured.std is None:
            return mean
        return f"{mean}, best of {self.best_of}: {unit.text(self.ours)}{unit.unit}"

    def _difference(self, unit: Quantity) -> str:
        if self.difference is None:
            return NOTHING
        interval = unit.interval(self.low, self.high, sign=True)
        return f"{unit.text(self.difference, sign=True)} {interval}".rstrip()


def verdicts(rows: Iterable[Row]) -> Iterator[Verdict]:
    """One for each claim of the official runs in ``rows``."""
    for row in rows:
        if row.first.protocol.profile != OFFICIAL:
            continue
        for name in QUANTITIES:
            claim = getattr(row.claims, name)
            if claim is not None:
                yield _count(row, claim) if name == "params" else _figure(row, name, claim)


def score_verdict(row: Row) -> Verdict | None:
    """The verdict on what submissions are ranked by; None without a claim that ours may stand beside."""
    name = "top1_accuracy" if row.first.task == "classification" else "fid"
    claim: Claim | None = getattr(row.claims, name)
    return _figure(row, name, claim) if claim is not None and row.first.beside_paper else None


def _count(row: Row, claimed: int) -> Verdict:
    cost = row.first.cost
    if cost is None:
        return Verdict(
            row.label, "params", claimed, None, 1, None, None, None, None, None, 0, "inconclusive", "not counted"
        )
    outcome: Outcome = "reproduced" if cost.params == claimed else "not reproduced"
    measured, difference = Spread(cost.params, None, 1), cost.params - claimed
    count = (row.label, "params", claimed, None, 1, None, None, measured, cost.params, difference)
    return Verdict(*count, 0, outcome)


def _measured(row: Row, name: str, claim: Claim) -> Spread | None:
    """Our figure that the claim is set beside."""
    published = claim.protocol == "as-published"
    if name in CURVES:
        return row.end_of_curve(CURVES[name])
    if name == "lpips":
        return row.as_published("lpips_real_images") if published else row.metric("lpips_vgg_64")
    return row.as_published(row.published_score_name) if published else row.metric(row.score_name)


def _figure(row: Row, name: str, claim: Claim) -> Verdict:
    quantity, measured = QUANTITIES[name], _measured(row, name, claim)
    margin = claim.margin or quantity.margin or MARGIN_SHARE * abs(claim.mean)
    paper = (row.label, name, claim.mean, claim.std, claim.runs, claim.selected, claim.best_of, measured)
    if measured is None:
        return Verdict(*paper, None, None, margin, "inconclusive", "not measured", rests_on=claim.rests_on)
    why = _incomparable(row.first, claim)
    if not why and margin == 0:
        why = "a claim of 0 needs a margin of its own"
    if not why and measured.std is None:
        why = "one seed has no spread"
    difference = measured.mean - claim.mean
    if why:
        return Verdict(*paper, measured.mean, difference, margin, "inconclusive", why, rests_on=claim.rests_on)
    found = judge_claim(measured, _claimed(claim, quantity), margin)
    return Verdict(
        *paper,
        found.ours,
        found.difference,
        margin,
        found.outcome,
        "" if found.outcome != "inconclusive" else f"{measured.n} seeds leave it open",
        found.low,
        found.high,
        found.expected_low,
        found.expected_high,
        found.power,
        claim.rests_on,
    )


def _claimed(claim: Claim, quantity: Quantity) -> Claimed:
    return Claimed(
        claim.mean,
        runs=claim.runs,
        std=claim.std,
        best_of=claim.best_of or 1,
        lower_is_better=quantity.lower_is_better,
    )


def _incomparable(record: Record, claim: Claim) -> str:
    """Why the run's figures say nothing of the claim; empty if they do."""
    if not record.beside_paper:
        return f"on {data_text(record)}"
    if record.identity.precision != "fp32":
        return f"trained at {record.identity.precision}; claims are tested at fp32"
    unknown = claim.selected is not None and claim.best_of is None
    return "the best of how many is not known" if unknown else ""


def tally(found: Sequence[Verdict], *, not_run: int = 0) -> str:
    """How many claims ended how: counts and what was trained apart."""
    counts = [item for item in found if item.quantity == "params"]
    trained = [item for item in found if item.quantity != "params"]
    outcomes: tuple[Outcome, ...] = ("reproduced", "consistent", "not reproduced", "inconclusive")
    parts = [f"{sum(item.verdict == outcome for item in trained)} {outcome}" for outcome in outcomes]
    parts += [f"{not_run} not run"] if not_run else []
    equal = sum(item.verdict == "reproduced" for item in counts)
    text = f"Parameters: {equal} of {len(counts)} equal. "
    text += f"Trained claims, {len(trained) + not_run}: {', '.join(parts)}."
    resting = [item for item in trained if item.rests_on and item.verdict in ("reproduced", "consistent")]
    if resting:
        rest = "rests" if len(resting) == 1 else "rest"
        text += f" {len(resting)} of those reproduced or consistent {rest} on more than the paper says."
    return text
