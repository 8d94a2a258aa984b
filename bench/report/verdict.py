"""``bench verdict``: do the records bear out each claim? *Reproduced*, *not reproduced*, or *inconclusive*.

Counts have to be equal. For means it is an equivalence test (``bench/stats.py``) of our seeds against the claim.
The claim's own ± is shown and not used: over batches of one run it says nothing about another run.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

from bench.contract.manifest import Claim
from bench.contract.tracks import OFFICIAL
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.summary import Row, read_all, summarize
from bench.report.tables import FORMATS, NOTHING, heading
from bench.stats import Equivalence, Spread, equivalence

MARGINS = {"top1_accuracy": 0.02, "lpips": 0.02}  # two points; FID's is a share of the claim
FID_MARGIN_SHARE = 0.05
VERDICTS = {"same": "reproduced", "different": "not reproduced", "unknown": "inconclusive"}
FAILED = "not reproduced"


@dataclass(frozen=True)
class Verdict:
    """One claim and what the records say of it."""

    submission: str
    claim: str  # what is claimed
    paper: str
    ours: str
    difference: str  # with its 90 % interval
    margin: str
    power: str
    verdict: str
    why: str  # of an inconclusive one


def verdicts(rows: list[Row]) -> Iterator[Verdict]:
    """One for each claim of the official runs in ``rows``."""
    for row in rows:
        record = row.first
        stand_in = record.data is not None and record.data.stand_in_for is not None
        if record.protocol.profile != OFFICIAL or stand_in:
            continue  # a paper's figure says nothing beside a shorter training or other images
        if record.claims.params is not None:
            yield _count(row, record.claims.params)
        for name in ("top1_accuracy", "fid", "lpips"):
            claim: Claim | None = getattr(record.claims, name)
            if claim is not None:
                yield _mean(row, name, claim)


def _count(row: Row, claimed: int) -> Verdict:
    cost = row.first.cost
    ours = None if cost is None else cost.params
    return Verdict(
        row.label,
        "parameters",
        f"{claimed:,}",
        NOTHING if ours is None else f"{ours:,}",
        NOTHING if ours is None else f"{ours - claimed:+,}",
        "0",
        NOTHING,
        "inconclusive" if ours is None else "reproduced" if ours == claimed else FAILED,
        "not counted" if ours is None else "",
    )


def _measured(row: Row, name: str, claim: Claim) -> Spread | None:
    """Our figure that the claim is set beside."""
    published = claim.protocol == "as-published"
    if name == "lpips":
        return row.as_published("lpips_real_images") if published else row.metric("lpips_vgg_64")
    return row.as_published(row.published_score_name) if published else row.metric(row.score_name)


def _mean(row: Row, name: str, claim: Claim) -> Verdict:
    scale, unit, digits = (100, " %", 2) if name == "top1_accuracy" else (1, "", 3 if name == "lpips" else 2)

    def text(value: float, *, sign: bool = False) -> str:
        return f"{scale * value:{'+' if sign else ''}.{digits}f}"

    margin = claim.margin or MARGINS.get(name) or FID_MARGIN_SHARE * claim.mean
    measured = _measured(row, name, claim)
    title = {"top1_accuracy": "top-1", "fid": "FID", "lpips": "LPIPS"}[name]
    paper = text(claim.mean) + ("" if claim.std is None else f" ± {text(claim.std)}") + unit
    if claim.selected:
        paper += ", its best run"  # ours is the mean: what another run may expect
    if measured is None:
        return Verdict(
            row.label, title, paper, NOTHING, NOTHING, text(margin), NOTHING, "inconclusive", "not measured"
        )
    found = equivalence(measured, Spread(claim.mean, None, 1), margin)
    ours = text(measured.mean) + ("" if measured.std is None else f" ± {text(measured.std)}")
    return Verdict(
        row.label,
        title,
        paper,
        f"{ours}{unit} (n={measured.n})",
        _difference(found, text),
        text(margin),
        NOTHING if found.power is None else f"{found.power:.0%}",
        VERDICTS[found.outcome],
        _why(found, measured),
    )


def _difference(found: Equivalence, text: Callable[..., str]) -> str:
    if found.low is None or found.high is None:
        return text(found.difference, sign=True)
    return f"{text(found.difference, sign=True)} [{text(found.low, sign=True)}, {text(found.high, sign=True)}]"


def _why(found: Equivalence, measured: Spread) -> str:
    if found.outcome != "unknown":
        return ""
    if measured.n < 2:
        return "one seed has no spread"
    return f"{measured.n} seeds leave it open"


def verdict_text(rows: list[Row], *, table: str = "simple") -> str:
    """The verdicts as a table.

    Raises:
        UsageError: If the format is unknown.
        NothingToDo: If no record has a claim.
    """
    if table not in FORMATS or table == "csv":
        raise UsageError(f"--table {table!r}: give {', '.join(name for name in FORMATS if name != 'csv')}")
    found = list(verdicts(rows))
    if not found:
        raise NothingToDo("no official record has a claim; `bench run` on a paper's submission makes one")
    if table == "json":
        return json.dumps([asdict(item) for item in found], indent=1, ensure_ascii=False)
    headers = ["submission", "claim", "paper", "ours", "difference [90 %]", "margin", "power", "verdict", "why"]
    cells = [list(asdict(item).values()) for item in found]
    if not any(row[-1] for row in cells):
        headers, cells = headers[:-1], [row[:-1] for row in cells]
    text = tabulate(cells, headers=headers, tablefmt=FORMATS[table], disable_numparse=True)
    return f"{heading('Claims and what the official records say of them', table)}\n\n{text}\n\n{LEGEND}"


LEGEND = (
    "Reproduced: the 90 % interval of the difference lies within the margin (two one-sided t tests at 5 %); not "
    "reproduced: it lies outside; inconclusive: neither.\n"
    "Power: how likely so many seeds say reproduced when there is no difference.\n"
    "± is over seeds in ours; in the paper's it is whatever the paper gives."
)


def verdict_command(results: Path, *, table: str, strict: bool) -> ExitCode:
    """Print the verdicts; with ``strict`` a claim that failed is exit code 1.

    Raises:
        NothingToDo: If there is nothing to judge.
        UsageError: If an option is wrong.
    """
    records, problems = read_all(results)
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    rows = summarize(records)
    print(verdict_text(rows, table=table))
    if strict and any(item.verdict == FAILED for item in verdicts(rows)):
        return ExitCode.REGRESSION
    return ExitCode.USAGE if problems else ExitCode.OK
