"""Verdicts on the papers' claims; the rules are in ``bench/stats/claims.py`` and docs/statistics.md.

Parameter counts have to be equal. Other claims are tested with our seeds against one run of the paper, the mean of
several, or the best of several, as the paper says. The paper's ± is used only if it is over runs: a ± over the
batches of one run says nothing about another run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.contract.manifest import Claim
from bench.contract.metrics import CLAIMED, CURVES, LPIPS_VGG, MARGIN_SHARE, PARAMS, Metric
from bench.contract.records.record import Record
from bench.contract.tracks import OFFICIAL
from bench.report.records.aggregate import Row
from bench.report.tables.text import MISSING, data_text, difference_text, interval_text, value_text, with_unit
from bench.stats.claims import Outcome, PublishedValue, judge_claim
from bench.stats.pairs import PairedDifference
from bench.stats.spreads import Spread


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim; accuracies are fractions."""

    submission: str
    claim: str  # field of ``Claims``, a key of CLAIMED
    claimed: float
    claimed_std: float | None  # over runs, or over batches, as the paper takes it
    claimed_runs: int  # number of runs that it is the mean of
    selected: str | None  # the runs or trials from which the author selected the best by this metric
    best_of: int | None  # their number; None if nothing was selected, or the number is not known
    measured: Spread | None  # our result
    ours: float | None  # compared with the claim: our mean, or the expected best of as many runs of ours
    difference: float | None
    margin: float
    verdict: Outcome
    why: str = ""  # reason for ``inconclusive``
    low: float | None = None  # lower limit of the difference's 90 % interval
    high: float | None = None
    expected_low: float | None = None  # lower limit of the 95 % prediction interval for another experiment of ours
    expected_high: float | None = None
    power: float | None = None  # probability of `reproduced` with this number of seeds if there is no difference
    rests_on: str | None = None  # assumption that the verdict depends on

    @property
    def metric(self) -> Metric:
        """The metric that the claim is about."""
        return CLAIMED[self.claim]

    @property
    def paired_difference(self) -> PairedDifference | None:
        """Our value minus the paper's, with its 90 % interval."""
        if self.difference is None:
            return None
        return PairedDifference(self.difference, self.low, self.high, self.measured.n if self.measured else 0)

    def cells(self) -> dict[str, str]:
        """Return the cells of a table of claims: column title -> text."""
        metric = self.metric
        return {
            "submission": self.submission,
            "claim": metric.label,
            "paper": self._paper(),
            "ours": self._ours(),
            "verdict": self.verdict,
            "difference [90 %]": difference_text(self.paired_difference, metric, with_n=False),
            "expected [95 %]": interval_text(self.expected_low, self.expected_high, metric) or MISSING,
            "margin": value_text(self.margin, metric),
            "power": MISSING if self.power is None else f"{self.power:.0%}",
            "reason": self.why,
            "rests on": self.rests_on or "",
        }

    def _paper(self) -> str:
        value = with_unit(Spread(self.claimed, self.claimed_std, self.claimed_runs), self.metric)
        if self.selected is not None:
            return f"{value}, best of {self.best_of}" if self.best_of else f"{value}, its best run"
        return f"{value} (n={self.claimed_runs})" if self.claimed_runs > 1 else value

    def _ours(self) -> str:
        measured, metric = self.measured, self.metric
        if measured is None:
            return MISSING
        if metric == PARAMS:
            return value_text(measured.mean, metric)
        mean = f"{with_unit(measured, metric)} (n={measured.n})"
        if not self.best_of or self.ours is None or measured.std is None:
            return mean
        return f"{mean}, best of {self.best_of}: {value_text(self.ours, metric)}{metric.unit}"


def verdicts(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Yield the verdict on each claim of the official runs in ``rows``."""
    for row in rows:
        if row.representative.protocol.profile != OFFICIAL:
            continue
        for name in CLAIMED:
            claim = getattr(row.claims, name)
            if claim is not None:
                yield _count_verdict(row, claim) if name == PARAMS.key else _verdict(row, name, claim)


def score_verdict(row: Row) -> Verdict | None:
    """Return the verdict on the claimed score; None without a claim, or if the run is not comparable with it."""
    claim: Claim | None = getattr(row.claims, row.claimed_score.key)
    return (
        _verdict(row, row.claimed_score.key, claim)
        if claim is not None and row.representative.comparable_with_paper
        else None
    )


def _count_verdict(row: Row, claimed: int) -> Verdict:
    cost = row.representative.cost
    if cost is None:
        return Verdict(
            row.label, PARAMS.key, claimed, None, 1, None, None, None, None, None, 0, "inconclusive", "not counted"
        )
    outcome: Outcome = "reproduced" if cost.params == claimed else "not reproduced"
    measured, difference = Spread(cost.params, None, 1), cost.params - claimed
    count = (row.label, PARAMS.key, claimed, None, 1, None, None, measured, cost.params, difference)
    return Verdict(*count, 0, outcome)


def _measured(row: Row, metric: Metric, claim: Claim) -> Spread | None:
    """Return our result that the claim is compared with."""
    published = claim.protocol == "as-published"
    if metric in CURVES:
        return row.end_of_curve(metric.name)
    if metric == LPIPS_VGG:
        return row.as_published("lpips_real_images") if published else row.metric(metric.name)
    return row.as_published(row.published_score.name) if published else row.metric(row.claimed_score.name)


def _verdict(row: Row, name: str, claim: Claim) -> Verdict:
    metric = CLAIMED[name]
    measured = _measured(row, metric, claim)
    margin = claim.margin or metric.margin or MARGIN_SHARE * abs(claim.mean)
    paper = (row.label, name, claim.mean, claim.std, claim.runs, claim.selected, claim.best_of, measured)
    if measured is None:
        return Verdict(*paper, None, None, margin, "inconclusive", "not measured", rests_on=claim.rests_on)
    reason = _incomparable(row.representative, claim)
    if not reason and margin == 0:
        reason = "a claim of 0 needs an explicit margin"
    if not reason and measured.std is None:
        reason = "one seed has no standard deviation"
    difference = measured.mean - claim.mean
    if reason:
        return Verdict(*paper, measured.mean, difference, margin, "inconclusive", reason, rests_on=claim.rests_on)
    judgement = judge_claim(measured, _published_figure(claim, metric), margin)
    return Verdict(
        *paper,
        judgement.ours,
        judgement.difference,
        margin,
        judgement.outcome,
        "" if judgement.outcome != "inconclusive" else f"{measured.n} seeds are too few to decide",
        judgement.low,
        judgement.high,
        judgement.expected_low,
        judgement.expected_high,
        judgement.power,
        claim.rests_on,
    )


def _published_figure(claim: Claim, metric: Metric) -> PublishedValue:
    return PublishedValue(
        claim.mean,
        runs=claim.runs,
        std=claim.std,
        best_of=claim.best_of or 1,
        lower_is_better=metric.better == "lower",
    )


def _incomparable(record: Record, claim: Claim) -> str:
    """Return why the run is not comparable with the claim; empty if it is."""
    if not record.comparable_with_paper:
        return f"on {data_text(record)}"
    if record.identity.precision != "fp32":
        return f"trained at {record.identity.precision}; claims are tested at fp32"
    unknown = claim.selected is not None and claim.best_of is None
    return "the claim is the best of an unknown number of runs" if unknown else ""


def tally(claims: Sequence[Verdict], *, not_run: int = 0) -> str:
    """Return the number of claims per verdict, separately for parameter counts and trained results."""
    counts = [item for item in claims if item.claim == PARAMS.key]
    trained = [item for item in claims if item.claim != PARAMS.key]
    outcomes: tuple[Outcome, ...] = ("reproduced", "consistent", "not reproduced", "inconclusive")
    parts = [f"{sum(item.verdict == outcome for item in trained)} {outcome}" for outcome in outcomes]
    parts += [f"{not_run} not run"] if not_run else []
    equal = sum(item.verdict == "reproduced" for item in counts)
    text = f"Parameter counts of networks that were run: {equal} of {len(counts)} equal. "
    text += f"Other claims ({len(trained) + not_run}): {', '.join(parts)}."
    conditional = [item for item in trained if item.rests_on and item.verdict in ("reproduced", "consistent")]
    if conditional:
        verb = "depends" if len(conditional) == 1 else "depend"
        text += (
            f" {len(conditional)} of those reproduced or consistent {verb} on an assumption that the paper does "
        )
        text += "not state."
    return text
