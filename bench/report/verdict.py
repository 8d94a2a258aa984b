"""``bench verdict``: do the records bear out each claim? *Reproduced*, *not reproduced*, or *inconclusive*.

Counts have to be equal. For means it is an equivalence test (``bench/stats.py``) of our seeds against the claim.
The claim's own ± is shown and not used: over batches of one run it says nothing about another run.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.contract.manifest import Claim
from bench.contract.records import Record
from bench.contract.tracks import OFFICIAL
from bench.errors import ExitCode, NothingToDo
from bench.report.summary import Row, read_all, say_unreadable, summarize
from bench.report.tables import NOTHING, check_format, data_text, grid, heading
from bench.stats import Spread, equivalence

# Two points of accuracy; a share of what has another scale in every paper.
MARGINS = {"top1_accuracy": 0.02, "train_accuracy": 0.02, "lpips": 0.02}
MARGIN_SHARE = 0.05
CURVES = {"train_accuracy": "accuracy", "train_loss": "loss"}  # claim -> what train_step returns
VERDICTS = {"same": "reproduced", "different": "not reproduced", "unknown": "inconclusive"}
FAILED = "not reproduced"


@dataclass(frozen=True)
class Quantity:
    """What is claimed, and how it is printed."""

    title: str
    scale: float = 1  # percent of a fraction
    unit: str = ""
    digits: int = 2

    def text(self, value: float, *, sign: bool = False) -> str:
        """``value``, given as in records."""
        return f"{self.scale * value:{'+' if sign else ''},.{self.digits}f}"


QUANTITIES = {
    "params": Quantity("parameters", digits=0),
    "top1_accuracy": Quantity("top-1", 100, " %"),
    "fid": Quantity("FID"),
    "lpips": Quantity("LPIPS", digits=3),
    "train_accuracy": Quantity("train accuracy", 100, " %"),
    "train_loss": Quantity("train loss", digits=3),
}


@dataclass(frozen=True)
class Verdict:
    """One claim and what the records say of it; numbers as in records, accuracies as fractions."""

    submission: str
    quantity: str  # one of QUANTITIES
    claimed: float
    claimed_std: float | None  # over whatever the paper takes it
    best_run: bool  # the paper reports its best; ours is the mean, what another run may expect
    measured: Spread | None
    difference: float | None
    low: float | None  # of its 90 % interval
    high: float | None
    margin: float
    power: float | None  # how likely so many seeds say `reproduced` when there is no difference
    verdict: str
    why: str = ""  # of an inconclusive one

    def cells(self) -> dict[str, str]:
        """What a table shows of it: column -> text."""
        unit = QUANTITIES[self.quantity]
        paper = unit.text(self.claimed) + ("" if self.claimed_std is None else f" ± {unit.text(self.claimed_std)}")
        return {
            "submission": self.submission,
            "claim": unit.title,
            "paper": paper + unit.unit + (", its best run" if self.best_run else ""),
            "ours": self._ours(unit),
            "difference [90 %]": self._difference(unit),
            "margin": unit.text(self.margin),
            "power": NOTHING if self.power is None else f"{self.power:.0%}",
            "verdict": self.verdict,
            "why": self.why,
        }

    def _ours(self, unit: Quantity) -> str:
        measured = self.measured
        if measured is None:
            return NOTHING
        if self.quantity == "params":
            return unit.text(measured.mean)
        std = "" if measured.std is None else f" ± {unit.text(measured.std)}"
        return f"{unit.text(measured.mean)}{std}{unit.unit} (n={measured.n})"

    def _difference(self, unit: Quantity) -> str:
        if self.difference is None:
            return NOTHING
        text = unit.text(self.difference, sign=True)
        if self.low is None or self.high is None:
            return text
        return f"{text} [{unit.text(self.low, sign=True)}, {unit.text(self.high, sign=True)}]"


def verdicts(rows: list[Row]) -> Iterator[Verdict]:
    """One for each claim of the official runs in ``rows``."""
    for row in rows:
        record = row.first
        if record.protocol.profile != OFFICIAL:
            continue
        for name in QUANTITIES:
            claim = getattr(record.claims, name)
            if claim is not None:
                yield _count(row, claim) if name == "params" else _mean(row, name, claim)


def score_verdict(row: Row) -> Verdict | None:
    """The verdict on what submissions are ranked by; None without a claim that ours may stand beside."""
    name = "top1_accuracy" if row.first.task == "classification" else "fid"
    claim: Claim | None = getattr(row.first.claims, name)
    return _mean(row, name, claim) if claim is not None and row.first.beside_paper else None


def _count(row: Row, claimed: int) -> Verdict:
    cost = row.first.cost
    if cost is None:
        outcome, why, measured = "inconclusive", "not counted", None
    else:
        outcome, why = ("reproduced" if cost.params == claimed else FAILED), ""
        measured = Spread(cost.params, None, 1)
    difference = None if cost is None else cost.params - claimed
    return Verdict(
        row.label, "params", claimed, None, False, measured, difference, None, None, 0, None, outcome, why
    )


def _measured(row: Row, name: str, claim: Claim) -> Spread | None:
    """Our figure that the claim is set beside."""
    published = claim.protocol == "as-published"
    if name in CURVES:
        return row.end_of_curve(CURVES[name])
    if name == "lpips":
        return row.as_published("lpips_real_images") if published else row.metric("lpips_vgg_64")
    return row.as_published(row.published_score_name) if published else row.metric(row.score_name)


def _mean(row: Row, name: str, claim: Claim) -> Verdict:
    margin = claim.margin or MARGINS.get(name) or MARGIN_SHARE * claim.mean
    measured = _measured(row, name, claim)
    paper = (row.label, name, claim.mean, claim.std, claim.selected is not None, measured)
    if measured is None:
        return Verdict(*paper, None, None, None, margin, None, "inconclusive", "not measured")
    why = _incomparable(row.first)
    if why:
        return Verdict(*paper, measured.mean - claim.mean, None, None, margin, None, "inconclusive", why)
    found = equivalence(measured, Spread(claim.mean, None, 1), margin)
    why = ""
    if found.outcome == "unknown":
        why = "one seed has no spread" if measured.n < 2 else f"{measured.n} seeds leave it open"
    numbers = (found.difference, found.low, found.high, margin, found.power)
    return Verdict(*paper, *numbers, VERDICTS[found.outcome], why)


def _incomparable(record: Record) -> str:
    """Why the run's figures say nothing of the claim; empty if they do."""
    if not record.beside_paper:
        return f"on {data_text(record)}"
    precision = record.identity.precision
    return "" if precision == "fp32" else f"trained at {precision}; claims are tested at fp32"


def verdict_text(rows: list[Row], *, table: str = "simple") -> str:
    """The verdicts as a table.

    Raises:
        UsageError: If the format is unknown.
        NothingToDo: If no record has a claim.
    """
    check_format(table)
    found = list(verdicts(rows))
    if not found:
        raise NothingToDo("no official record has a claim; `bench run` on a paper's submission makes one")
    if table == "json":
        return json.dumps([asdict(item) for item in found], indent=1, ensure_ascii=False)
    text = verdict_grid(found, table)
    return f"{heading('Claims and what the official records say of them', table)}\n\n{text}\n\n{LEGEND}"


def verdict_grid(found: list[Verdict], table: str) -> str:
    """The table alone, without those of its last columns in which nothing stands."""
    cells = [item.cells() for item in found]
    titles = [title for title in cells[0] if title != "why" or any(row["why"] for row in cells)]
    return grid(titles, [[row[title] for title in titles] for row in cells], table)


OUTCOMES = (
    "Reproduced: the 90 % interval of the difference lies within the margin (two one-sided t tests at 5 %); not "
    "reproduced: it lies outside; inconclusive: neither."
)
POWER = "Power: how likely so many seeds say reproduced when there is no difference."
SPREADS = (
    "± is over seeds in ours; in the paper's it is whatever the paper gives. Ours of train are means over the "
    "last tenth of the steps."
)
LEGEND = f"{OUTCOMES}\n{POWER}\n{SPREADS}"


def verdict_command(results: Path, *, table: str, strict: bool) -> ExitCode:
    """Print the verdicts; with ``strict`` a claim that failed is exit code 1.

    Raises:
        NothingToDo: If there is nothing to judge.
        UsageError: If an option is wrong.
    """
    records, problems = read_all(results)
    say_unreadable(problems)
    rows = summarize(records)
    print(verdict_text(rows, table=table))
    if strict and any(item.verdict == FAILED for item in verdicts(rows)):
        return ExitCode.REGRESSION
    return ExitCode.USAGE if problems else ExitCode.OK
